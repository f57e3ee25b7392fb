import { part } from '../part.js';
import type { Dataset, DatasetContext, Split } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  publishedOptions,
  sortedIds,
  wholeNumber,
} from './distribution.js';

/**
 * Stanford Online Products (Song et al. 2016). `sop/Ebay_train.txt` and `Ebay_test.txt`: a header, then lines
 * `image_id class_id super_class_id path`; classes 1–11,318 train, 11,319–22,634 test, in the order of the files.
 *
 * 120,053 images of 22,634 classes: 59,551 of 11,318 to train, 60,502 of 11,316 to test.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openSop(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://cvgl.stanford.edu/projects/lifted_struct/';
  const names = {
    documented: 'sop',
    others: ['Stanford_Online_Products', 'Online_Products'],
    holds: ['Ebay_train.txt', 'Ebay_test.txt'],
  };
  const data = await Distribution.open('sop', names, page, options);
  const train = await readList(data, 'train', { first: 1, last: 11_318 });
  const test = await readList(data, 'test', { first: 11_319, last: 22_634 });
  data.checkSizes([
    ['training images', train.length, 59_551],
    ['test images', test.length, 60_502],
    ['training classes', sortedIds(train).length, 11_318],
    ['test classes', sortedIds(test).length, 11_316],
  ]);
  const present = async (name: 'train' | 'test', images: ListedImage<number>[]): Promise<Split> =>
    data.split(name, await data.present(images, `Ebay_${name}.txt`));
  return data.checked({
    name: 'sop',
    train: await present('train', train),
    test: await present('test', test),
    recallAt: [1, 10, 100, 1000],
  });
}

async function readList(
  data: Distribution,
  name: 'train' | 'test',
  { first, last }: { first: number; last: number },
): Promise<ListedImage<number>[]> {
  const file = `Ebay_${name}.txt`;
  const lines = await data.lines(file);
  return lines.slice(1).map(({ text, line }) => {
    const where = `${file}, line ${line},`;
    const [, classId, category, path, ...rest] = text.split(/\s+/);
    const id = wholeNumber(classId);
    if (path === undefined || rest.length > 0)
      throw data.error(
        `${where} expected "image_id class_id super_class_id path", got ${JSON.stringify(text)}`,
      );
    if (!(id >= first && id <= last))
      throw data.error(
        `${where} expected a class_id from ${first} to ${last}, got ${JSON.stringify(classId)}`,
      );
    return { path: data.resolve(path, where), id, category };
  });
}

export const sop = part({
  name: 'sop',
  help: 'Stanford Online Products',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openSop({ ...options, onWarning }),
});
