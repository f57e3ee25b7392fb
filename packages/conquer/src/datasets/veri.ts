import { part } from '../part.js';
import type { Dataset, DatasetContext } from './dataset.js';
import { type DistributionOptions, publishedOptions, sortedIds } from './distribution.js';
import { type NamedArchive, openNamedArchive } from './seen-images.js';

/**
 * VeRi-776 (Liu et al. 2016), vehicles seen by twenty cameras. `VeRi/image_train`, `image_query` and `image_test`, with names
 * `0002_c002_00030600_0.jpg`: which vehicle it is, and the camera. Queries are looked for by the camera-aware protocol.
 *
 * 37,778 images of 576 vehicles to train, 1,678 queries of 200 others, 11,579 in the gallery. Copies differ in the first number,
 * so that another one is only said.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openVeri(options: DistributionOptions): Promise<Dataset> {
  return await openNamedArchive(archive, options);
}

const archive: NamedArchive = {
  name: 'veri',
  names: {
    documented: 'VeRi',
    others: ['VeRi-776', 'veri', 'VeRi776', 'VeRi_with_plate'],
    holds: ['image_train', 'image_query'],
  },
  page: 'https://vehiclereid.github.io/VeRi/',
  folders: ['image_train', 'image_query', 'image_test'],
  recallAt: [1, 5, 10],
  check(data, { train, query, gallery }) {
    if (train.length !== 37_778)
      data.warn(`expected 37,778 training images, found ${train.length.toLocaleString('en-US')}`);
    data.checkSizes([
      ['vehicles to train on', sortedIds(train).length, 576],
      ['queries', query.length, 1678],
      ['vehicles to find', sortedIds(query).length, 200],
      ['gallery images', gallery.length, 11_579],
    ]);
  },
};

export const veri = part({
  name: 'veri',
  help: 'VeRi-776, vehicles by camera',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openVeri({ ...options, onWarning }),
});
