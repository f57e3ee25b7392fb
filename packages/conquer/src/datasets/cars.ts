import type { Dataset } from './dataset.js';
import { Distribution, type DistributionOptions, type ListedImage, sortedIds } from './distribution.js';
import { MatlabError } from './matlab/matlab-error.js';
import { parseMatlab } from './matlab/matlab-file.js';
import type { MatlabValue } from './matlab/matlab-value.js';

const file = 'cars_annos.mat';

/**
 * Cars196 (Krause et al. 2013). `cars196/car_ims/*.jpg` and `cars196/cars_annos.mat`, whose struct array `annotations`
 * gives each image's `relative_im_path` and `class`; classes 1–98 train, 99–196 test, in the order of the file.
 *
 * 16,185 images of 196 classes: 8,054 to train, 8,131 to test.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openCars(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://ai.stanford.edu/~jkrause/cars/car_dataset.html';
  const data = new Distribution('cars', 'cars196', page, options, ['car_ims']);
  const listed = readAnnotations(data, await data.read(file));
  const [annotatedTrain, annotatedTest] = [
    listed.filter(({ id }) => id <= 98),
    listed.filter(({ id }) => id > 98),
  ];
  data.checkSizes([
    ['annotated training images', annotatedTrain.length, 8054],
    ['annotated test images', annotatedTest.length, 8131],
    ['training classes', sortedIds(annotatedTrain).length, 98],
    ['test classes', sortedIds(annotatedTest).length, 98],
  ]);
  const images = await data.present(listed, file);
  return data.checked({
    name: 'cars',
    train: data.split(
      'train',
      images.filter(({ id }) => id <= 98),
    ),
    test: data.split(
      'test',
      images.filter(({ id }) => id > 98),
    ),
    recallAt: [1, 2, 4, 8],
  });
}

function readAnnotations(data: Distribution, bytes: Uint8Array): ListedImage<number>[] {
  let annotations: MatlabValue | undefined;
  try {
    annotations = parseMatlab(bytes).get('annotations');
  } catch (error) {
    if (error instanceof MatlabError) throw data.error(`${file} cannot be read: ${error.message}`);
    throw error;
  }
  const fields = annotations?.kind === 'struct' ? annotations.fields : null;
  const paths = fields?.get('relative_im_path');
  const classes = fields?.get('class');
  if (!paths || !classes) {
    throw data.error(
      `${file}: expected a struct array annotations with the fields relative_im_path and class`,
    );
  }
  return paths.map((path, index) => {
    const where = `${file}, annotation ${index + 1},`;
    const listed = path.kind === 'char' && path.rows.length === 1 ? path.rows[0] : undefined;
    if (listed === undefined) throw data.error(`${where} has no text as relative_im_path`);
    const value = classes[index];
    const id = value?.kind === 'numeric' && value.values.length === 1 ? value.values[0] : undefined;
    if (id === undefined || !(Number.isInteger(id) && id >= 1 && id <= 196))
      throw data.error(`${where} has no class from 1 to 196`);
    return { path: data.resolve(listed, where), id };
  });
}
