import { join } from 'node:path';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import type { Dataset, DatasetContext } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  publishedOptions,
} from './distribution.js';

/** What torchvision's ImageFolder takes for images. */
const image = /\.(jpe?g|png|ppm|bmp|pgm|tiff?|webp)$/i;

/**
 * CUB-200-2011 (Wah et al. 2011): birds. `cub-200-2011/images/001.Black_footed_Albatross/*.jpg`; a class per folder,
 * sorted; classes 1–100 train, 101–200 test. Files that begin with a dot (`._…`, as macOS adds them) are no images.
 *
 * 11,788 images of 200 classes: 5,864 to train, 5,924 to test.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openCub(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://www.vision.caltech.edu/datasets/cub_200_2011/';
  const names = {
    documented: 'cub-200-2011',
    others: ['CUB_200_2011', 'CUB-200', 'CUB'],
    holds: ['images', 'train_test_split.txt'],
  };
  const data = await Distribution.open('cub', names, page, options);
  const folders = (await data.list('images'))
    .filter(({ kind }) => kind === 'folder' || kind === 'link')
    .map(({ name }) => name);
  const images: ListedImage<string>[] = [];
  for (const id of folders) {
    const files = (await data.list(join('images', id)))
      .filter(({ name, kind }) => kind !== 'folder' && image.test(name))
      .map(({ name }) => name);
    for (const file of files) images.push({ path: join(data.folder, 'images', id, file), id });
  }

  // Of a subset, the number in the folder's name tells its half; of the whole it is its place among the sorted.
  const numberOf = (id: string): number => {
    const found = /^(\d{3})\./.exec(id);
    if (!found) throw data.error(`expected class folders such as 001.Black_footed_Albatross, found ${id}`);
    return Number(found[1]);
  };
  const trains = new Map(folders.map((id) => [id, numberOf(id) <= 100]));
  const train = images.filter(({ id }) => trains.get(id));
  const test = images.filter(({ id }) => !trains.get(id));
  const classes = (some: ListedImage<string>[]) => new Set(some.map(({ id }) => id)).size;
  data.checkSizes([
    ['training images', train.length, 5864],
    ['test images', test.length, 5924],
    ['training classes', classes(train), 100],
    ['test classes', classes(test), 100],
  ]);
  return data.checked({
    name: 'cub',
    train: data.split('train', train),
    test: data.split('test', test),
    recallAt: usualRecallAt,
  });
}

export const cub = part({
  name: 'cub',
  help: 'CUB-200-2011, birds',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openCub({ ...options, onWarning }),
});
