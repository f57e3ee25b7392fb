import { F, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { recall } from './recall.js';
import type { Search } from './search.js';
import { searchMeans } from './search-means.js';

/** What Recall@1 of the first so many dimensions is called. */
export const prefixRecallName = (dimensions: number) => `R@1 of ${dimensions}`;

/**
 * Recall@1 by the first so many dimensions alone, at length 1 again: what a nested embedding is worth that is cut.
 *
 * @param prefixes each from 1 to D
 * @returns by name
 * @throws RangeError for more dimensions than there are
 */
export function prefixRecalls(
  embeddings: Tensor,
  labels: Int32Array,
  prefixes: readonly number[],
  search: Search,
): Map<string, number> {
  const values = new Map<string, number>();
  const size = embeddings.size(1);
  for (const dimensions of prefixes) {
    if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > size)
      throw new RangeError(`expected a prefix of 1 to ${size} dimensions, got ${dimensions}`);
    scope(() =>
      noGrad(() => {
        const cut = (rows: Tensor) => F.normalize(rows.narrow(1, 0, dimensions));
        const { gallery, ...others } = search;
        const among = gallery && { gallery: { ...gallery, embeddings: cut(gallery.embeddings) } };
        const wanted = [{ metric: recall, at: [1] }];
        const means = searchMeans(cut(embeddings), labels, wanted, { ...others, ...among });
        values.set(prefixRecallName(dimensions), means.get('R@1')!);
      }),
    );
  }
  return values;
}
