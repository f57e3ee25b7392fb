import { aten, cat, full, scope, tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import { type BlockOffers, IntegerOffers, MatrixOffers } from './block-offers.js';
import { COPIED_ROWS, turned, type Vectors } from './block-vectors.js';
import type { Search } from './nearest-candidates.js';

/** Queries that are tried, and the least of all that a trial is worth: it costs a hundredth of the products. */
const TRIED = 32;
const LEAST_QUERIES = 4096;
/** How much farther the last candidate has to lie than the bound asks, as those tried are a few of many. */
const MARGIN = 1.5;

export interface ChosenOffers {
  offers: BlockOffers;
  /** How many candidates of a query are kept. */
  keep: number;
}

/**
 * Integers where their precision is enough to settle the queries that are tried: where the k-th neighbour and the last candidate
 * that is kept lie far enough apart, if need be with more candidates than `keep`, up to half as many again as k. Else matrices.
 */
export function chooseOffers(
  { queries, all, stop }: Search,
  vectors: Vectors,
  { k, keep, available }: { k: number; keep: number; available: number },
): ChosenOffers {
  const [numQueries, size] = [queries.size(0), all.size(0)];
  const matrices = { offers: new MatrixOffers(vectors), keep };
  const worth = numQueries >= LEAST_QUERIES && keep < available;
  const integers = worth ? IntegerOffers.of(vectors) : null;
  if (!integers) return matrices;
  const { relative, absolute } = integers.error;
  const most = Math.min(Math.max(keep, Math.floor(1.5 * k)), available);
  const beyond = scope(() => {
    const every = Math.floor(numQueries / TRIED);
    const places = tensor(
      Int32Array.from({ length: TRIED }, (_, i) => i * every),
      { dtype: 'int64' },
    );
    const some = turned(vectors.queriesAt(places));
    const nearest = full([TRIED, most], Number.POSITIVE_INFINITY);
    for (let start = 0; start < size; start += COPIED_ROWS) {
      checkStop(stop);
      scope(() => {
        const piece = vectors.gallery(start, Math.min(COPIED_ROWS, size - start));
        const all = cat([nearest, some.matmul(piece.t())], 1);
        nearest.copy_(aten.topk(all, most, 1, false, true)[0]);
      });
    }
    const near = nearest.narrow(1, k - 1, 1).clamp({ min: 0 });
    const far = nearest.narrow(1, keep - 1, most - keep + 1).clamp({ min: 0 });
    // The farther one's norm is no more than the query's and that distance, nor than any.
    const norms = vectors.queryNorms.indexSelect(0, places).unsqueeze(1);
    const together = aten.minimum(norms.add(far.sqrt()), vectors.galleryNorms.max()).add_(norms);
    const wrong = together
      .square()
      .mul_(2 * relative)
      .add_(2 * absolute)
      .mul_(MARGIN);
    return aten.amin(far.sub(near).sub_(wrong), [0]).toNumbers();
  });
  const more = beyond.findIndex((gap) => gap > 0);
  return more < 0 ? matrices : { offers: integers, keep: keep + more };
}
