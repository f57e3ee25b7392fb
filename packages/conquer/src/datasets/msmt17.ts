import { part } from '../part.js';
import type { Dataset, DatasetContext } from './dataset.js';
import { Distribution, type DistributionOptions, publishedOptions, sortedIds } from './distribution.js';
import { imagesByList, type SeenImage, seenSplit } from './seen-images.js';

/** Where the images lie, in the first and the second version. */
const folders = [
  ['train', 'test'],
  ['mask_train_v2', 'mask_test_v2'],
] as const;

/**
 * MSMT17 (Wei et al. 2018), people seen by fifteen cameras. `MSMT17_V1/list_train.txt`, `list_val.txt` (both train), `list_query.txt`
 * and `list_gallery.txt` with lines `0000/0000_000_01_0303morning_0015_0.jpg 0`; images under `train` and `test`, in the second version
 * `mask_train_v2` and `mask_test_v2`. Queries are looked for by the camera-aware protocol.
 *
 * 32,621 images of 1,041 people to train, 11,659 queries and 82,161 in the gallery of 3,060 others.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openMsmt17(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://www.pkuvmc.com/dataset.html';
  const names = {
    documented: 'MSMT17_V1',
    others: ['MSMT17', 'MSMT17_V2', 'msmt17', 'msmt17_v1', 'msmt17_v2'],
    holds: ['list_train.txt', 'list_query.txt'],
  };
  const data = await Distribution.open('msmt17', names, page, options, folders.flat());
  const [first, second] = folders;
  const [train, test] = (await data.has(second[0])) && !(await data.has(first[0])) ? second : first;
  const listed = async (file: string, folder: string): Promise<SeenImage[]> => {
    const images = await imagesByList(data, file, folder);
    const there = new Set((await data.present(images, file)).map(({ path }) => path));
    return images.filter(({ path }) => there.has(path));
  };
  const training = [...(await listed('list_train.txt', train)), ...(await listed('list_val.txt', train))];
  const query = await listed('list_query.txt', test);
  const gallery = await listed('list_gallery.txt', test);
  const classes = sortedIds([...query, ...gallery]);
  data.checkSizes([
    ['training images', training.length, 32_621],
    ['people to train on', sortedIds(training).length, 1041],
    ['queries', query.length, 11_659],
    ['gallery images', gallery.length, 82_161],
    ['people to find', classes.length, 3060],
  ]);
  return data.checked({
    name: 'msmt17',
    train: seenSplit(data, 'train', training),
    test: seenSplit(data, 'query', query, classes),
    gallery: seenSplit(data, 'gallery', gallery, classes),
    recallAt: [1, 5, 10, 20],
  });
}

export const msmt17 = part({
  name: 'msmt17',
  help: 'MSMT17, people by camera',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openMsmt17({ ...options, onWarning }),
});
