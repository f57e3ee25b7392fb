import { join } from 'node:path';
import { counted } from '@conquer-dml/run';
import { part } from '../part.js';
import type { Dataset, DatasetContext } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  publishedOptions,
  sortedIds,
} from './distribution.js';

const file = 'Eval/list_eval_partition.txt';
const parts = ['train', 'query', 'gallery'] as const;
type PartName = (typeof parts)[number];

/**
 * In-Shop Clothes Retrieval (Liu et al. 2016, DeepFashion). `in-shop/Eval/list_eval_partition.txt`: the number of
 * images, a header, then `image_name item_id evaluation_status`, columns apart by runs of spaces; images under
 * `in-shop/img` or, as unzipped, `in-shop/Img/img`. Queries are looked for in the gallery.
 *
 * 52,712 images: 25,882 of 3,997 classes to train, 14,218 queries and 12,612 in the gallery of 3,985 classes.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openInshop(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html';
  const names = {
    documented: 'in-shop',
    others: ['In-shop Clothes Retrieval Benchmark', 'In-shop Clothes Retrieval', 'DeepFashion'],
    holds: [file],
  };
  const data = await Distribution.open('inshop', names, page, options, ['img', 'Img', 'Img/img']);
  const listed = await readPartition(data);
  data.checkSizes([
    ['training images', listed.train.length, 25_882],
    ['queries', listed.query.length, 14_218],
    ['gallery images', listed.gallery.length, 12_612],
    ['training classes', sortedIds(listed.train).length, 3997],
    ['classes of queries', sortedIds(listed.query).length, 3985],
    ['classes in the gallery', sortedIds(listed.gallery).length, 3985],
  ]);
  const inGallery = new Set(sortedIds(listed.gallery));
  const lost = sortedIds(listed.query).filter((id) => !inGallery.has(id));
  if (lost.length > 0)
    data.deviation(
      `${counted(lost.length, 'class of queries is', 'classes of queries are')} not in the gallery, the first is ${className(lost[0] ?? 0)}`,
    );

  const [train, query, gallery] = [
    await data.present(listed.train, file),
    await data.present(listed.query, file),
    await data.present(listed.gallery, file),
  ];
  const searched = sortedIds([...query, ...gallery]);
  return data.checked({
    name: 'inshop',
    train: data.split('train', train, sortedIds(train), className),
    test: data.split('query', query, searched, className),
    gallery: data.split('gallery', gallery, searched, className),
    recallAt: [1, 10, 20, 30, 50],
  });
}

/** `MEN/Denim` of `img/MEN/Denim/id_00000080/01_1_front.jpg`. */
function categoryOf(path: string): string | undefined {
  return /^img\/(.+)\/id_\d+\/[^/]+$/.exec(path)?.[1];
}

function className(id: number): string {
  return `id_${String(id).padStart(8, '0')}`;
}

async function readPartition(data: Distribution): Promise<Record<PartName, ListedImage<number>[]>> {
  const [count, , ...lines] = await data.lines(file);
  if (count === undefined || !/^\d+$/.test(count.text))
    throw data.error(
      `${file}, line 1, expected the number of images, got ${JSON.stringify(count?.text ?? '')}`,
    );
  const root = (await data.has('img')) || !(await data.has('Img/img')) ? '' : 'Img';
  const images: Record<PartName, ListedImage<number>[]> = { train: [], query: [], gallery: [] };
  for (const { text, line } of lines) {
    const where = `${file}, line ${line},`;
    const [path, item, status, ...rest] = text.split(/\s+/);
    const id = /^id_(\d{1,15})$/.exec(item ?? '')?.[1];
    const part = parts.find((known) => known === status);
    if (path === undefined || id === undefined || part === undefined || rest.length > 0) {
      throw data.error(
        `${where} expected "image_name id_N train|query|gallery", got ${JSON.stringify(text)}`,
      );
    }
    data.resolve(path, where);
    images[part].push({ path: join(data.folder, root, path), id: Number(id), category: categoryOf(path) });
  }
  if (lines.length !== Number(count.text))
    data.deviation(`${file} announces ${count.text} images and lists ${lines.length}: it seems cut short`);
  return images;
}

export const inshop = part({
  name: 'inshop',
  help: 'In-Shop Clothes Retrieval (DeepFashion)',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openInshop({ ...options, onWarning }),
});
