import { empty, type RankTargets, sortTargets, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import type { Search } from '../neighbours/nearest-candidates.js';
import { Random } from '../random.js';
import type { Places } from './places.js';

/** Rows of the gallery by which it is guessed how far one has to look. */
export const SAMPLE = 1024;

/** (SAMPLE, D) */
export function sampleOf(all: Tensor): Tensor {
  return all.indexSelect(0, tensor(new Random(0).choice(all.size(0), SAMPLE), { dtype: 'int64' }));
}

/**
 * Of the sample's rows, from 0, the one behind which surely `deepest` of the gallery's `size` are: that they are not is a matter of 6
 * standard deviations.
 */
export function expectedRank(deepest: number, size: number): number {
  const mean = (SAMPLE * deepest) / size;
  return Math.ceil(mean + 6 * Math.sqrt(mean) + 6);
}

/** Targets as they are counted for, with no counts yet; `limitTargets` has to be told how far to look. */
export function rankTargets({ queries, all, space }: Search, targets: Places): RankTargets {
  const starts = tensor(targets.starts);
  // They are put in another order.
  const places = tensor(targets.places.slice());
  const squares = sortTargets(queries, all, { starts, places });
  const numbers = squares.toTypedArray() as Float64Array;
  const factor = space.scale * space.scale;
  const count = queries.size(0);
  return {
    starts,
    places,
    squares,
    lows: tensor(Float32Array.from(numbers, (square) => square * factor * (1 - 2 ** -22))),
    highs: tensor(Float32Array.from(numbers, (square) => square * factor * (1 + 2 ** -22) + 2 ** -100)),
    kept: zeros([count], { dtype: 'int32' }),
    limits: empty([count]),
    counts: zeros([numbers.length + count], { dtype: 'int32' }),
  };
}
