import { part } from '../part.js';
import type { Dataset, DatasetContext } from './dataset.js';
import { type DistributionOptions, publishedOptions, sortedIds } from './distribution.js';
import { type NamedArchive, openNamedArchive } from './seen-images.js';

/**
 * Market-1501 (Zheng et al. 2015), people seen by six cameras. `Market-1501-v15.09.15/bounding_box_train`, `query` and
 * `bounding_box_test`, with names `0002_c1s1_000451_03.jpg`: who it is, and the camera. `-1` in the gallery is junk and left out,
 * `0000` are distractors and stay: they are nobody's query. Queries are looked for by the camera-aware protocol.
 *
 * 12,936 images of 751 people to train, 3,368 queries of 750 others, 15,913 in the gallery.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openMarket1501(options: DistributionOptions): Promise<Dataset> {
  return await openNamedArchive(archive, options);
}

const archive: NamedArchive = {
  name: 'market-1501',
  names: {
    documented: 'Market-1501-v15.09.15',
    others: ['market1501', 'Market-1501', 'Market1501', 'market-1501'],
    holds: ['bounding_box_train', 'query'],
  },
  page: 'https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html',
  folders: ['bounding_box_train', 'query', 'bounding_box_test'],
  recallAt: [1, 5, 10, 20],
  check: (data, { train, query, gallery }) =>
    data.checkSizes([
      ['training images', train.length, 12_936],
      ['people to train on', sortedIds(train).length, 751],
      ['queries', query.length, 3368],
      ['people to find', sortedIds(query).length, 750],
      ['gallery images without junk', gallery.length, 15_913],
    ]),
};

export const market1501 = part({
  name: 'market-1501',
  help: 'Market-1501, people by camera',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openMarket1501({ ...options, onWarning }),
});
