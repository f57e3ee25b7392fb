import { aten, cat, full, scope, tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import { type BlockOffers, IntegerOffers, MatrixOffers } from './block-offers.js';
import { COPIED_ROWS, turned, type Vectors } from './block-vectors.js';
import type { Search } from './nearest-candidates.js';

/** Queries that are tried, and the least of all that a trial is worth: it costs a hundredth of the products. */
const TRIED = 32;
const LEAST_QUERIES = 4096;

/**
 * Integers where their precision is enough to settle some queries that are tried: where the k-th neighbour and the last candidate
 * that is kept, the `keep`-th, lie far enough apart. Else matrices.
 */
export function chooseOffers(
  { queries, all, stop }: Search,
  vectors: Vectors,
  { k, keep, available }: { k: number; keep: number; available: number },
): BlockOffers {
  const [numQueries, size] = [queries.size(0), all.size(0)];
  const worth = numQueries >= LEAST_QUERIES && keep < available;
  const integers = worth ? IntegerOffers.of(vectors) : null;
  if (!integers) return new MatrixOffers(vectors);
  const { relative, absolute } = integers.error;
  const enough = scope(() => {
    const every = Math.floor(numQueries / TRIED);
    const places = tensor(
      Int32Array.from({ length: TRIED }, (_, i) => i * every),
      { dtype: 'int64' },
    );
    const some = turned(vectors.queriesAt(places));
    const nearest = full([TRIED, keep], Number.POSITIVE_INFINITY);
    for (let start = 0; start < size; start += COPIED_ROWS) {
      checkStop(stop);
      scope(() => {
        const piece = vectors.gallery(start, Math.min(COPIED_ROWS, size - start));
        const all = cat([nearest, some.matmul(piece.t())], 1);
        nearest.copy_(aten.topk(all, keep, 1, false, true)[0]);
      });
    }
    const [near, far] = [k, keep].map((rank) => nearest.select(1, rank - 1).clamp({ min: 0 }));
    // The farther one's norm is no more than the query's and that distance, nor than any.
    const norms = vectors.queryNorms.indexSelect(0, places);
    const together = aten.minimum(norms.add(far!.sqrt()), vectors.galleryNorms.max()).add_(norms);
    const wrong = together
      .square()
      .mul_(2 * relative)
      .add_(2 * absolute);
    return far!.sub(near!).gt(wrong).all().item();
  });
  return enough ? integers : new MatrixOffers(vectors);
}
