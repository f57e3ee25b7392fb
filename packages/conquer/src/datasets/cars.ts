import { join } from 'node:path';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import type { Dataset, DatasetContext } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  publishedOptions,
  sortedIds,
} from './distribution.js';
import { MatlabError } from './matlab/matlab-error.js';
import { parseMatlab } from './matlab/matlab-file.js';
import type { MatlabValue } from './matlab/matlab-value.js';

const file = 'cars_annos.mat';

/** The other distribution, of the classification benchmark: its lists, the folders of their images, where they may lie. */
const devkit = [
  { list: 'cars_train_annos.mat', images: 'cars_train' },
  { list: 'cars_test_annos_withlabels.mat', images: 'cars_test' },
] as const;
const devkitFolders = ['', 'devkit', 'car_devkit/devkit'];

/**
 * Cars196 (Krause et al. 2013). `cars196/car_ims/*.jpg` and `cars196/cars_annos.mat`, whose struct array `annotations`
 * gives each image's `relative_im_path` and `class`; classes 1–98 train, 99–196 test, in the order of the file. Without
 * that file, the two lists of the development kit are read, `cars_train_annos.mat` and `cars_test_annos_withlabels.mat`,
 * in this order, with the images in `cars_train` and `cars_test`: the same images.
 *
 * 16,185 images of 196 classes: 8,054 to train, 8,131 to test.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openCars(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://ai.stanford.edu/~jkrause/cars/car_dataset.html';
  const names = {
    documented: 'cars196',
    others: ['cars', 'Cars196', 'Stanford Cars', 'Stanford Cars Dataset'],
    holds: [file, ...devkitFolders.map((folder) => join(folder, devkit[0].list)), 'car_ims'],
  };
  const data = await Distribution.open('cars', names, page, options, ['car_ims', 'cars_train', 'cars_test']);
  const listed = await readLists(data);
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
    recallAt: usualRecallAt,
  });
}

async function readLists(data: Distribution): Promise<ListedImage<number>[]> {
  const read = async (file: string, columns: { path: string; below: string }) =>
    readAnnotations(data, file, await data.read(file), columns);
  const find = async (paths: readonly string[]) => {
    for (const path of paths) if (await data.has(path)) return path;
    return undefined;
  };
  const lists = await Promise.all(
    devkit.map(({ list }) => find(devkitFolders.map((folder) => join(folder, list)))),
  );
  if (lists.every((list) => list === undefined) || (await data.has(file)))
    return await read(file, { path: 'relative_im_path', below: '' });
  const listed: ListedImage<number>[] = [];
  for (const [half, { list, images }] of devkit.entries()) {
    const found = lists[half];
    if (found === undefined) {
      throw data.error(
        `expected ${file} in ${data.folder}, or both ${devkit.map((each) => each.list).join(' and ')}, but of these it lacks ${list}: the classes 99–196, which are tested on, need the labels of both halves`,
      );
    }
    // Some copies have the folder twice, one in the other.
    const below = (await find([join(images, images)])) ?? images;
    listed.push(...(await read(found, { path: 'fname', below })));
  }
  return listed;
}

/** @param columns the field of an image's path, and the folder it is relative to */
function readAnnotations(
  data: Distribution,
  file: string,
  bytes: Uint8Array,
  columns: { path: string; below: string },
): ListedImage<number>[] {
  let annotations: MatlabValue | undefined;
  try {
    annotations = parseMatlab(bytes).get('annotations');
  } catch (error) {
    if (error instanceof MatlabError) throw data.error(`${file} cannot be read: ${error.message}`);
    throw error;
  }
  const fields = annotations?.kind === 'struct' ? annotations.fields : null;
  const paths = fields?.get(columns.path);
  const classes = fields?.get('class');
  if (!paths || !classes) {
    throw data.error(
      `${file}: expected a struct array annotations with the fields ${columns.path} and class`,
    );
  }
  return paths.map((path, index) => {
    const where = `${file}, annotation ${index + 1},`;
    const listed = path.kind === 'char' && path.rows.length === 1 ? path.rows[0] : undefined;
    if (listed === undefined) throw data.error(`${where} has no text as ${columns.path}`);
    const value = classes[index];
    const id = value?.kind === 'numeric' && value.values.length === 1 ? value.values[0] : undefined;
    if (id === undefined || !(Number.isInteger(id) && id >= 1 && id <= 196))
      throw data.error(`${where} has no class from 1 to 196`);
    data.resolve(listed, where);
    return { path: data.resolve(join(columns.below, listed), where), id };
  });
}

export const cars = part({
  name: 'cars',
  help: 'Cars196',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openCars({ ...options, onWarning }),
});
