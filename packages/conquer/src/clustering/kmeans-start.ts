import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { filterError } from '../neighbours/product-filter.js';
import type { Random } from '../random.js';
import { checkStop } from '../stop-check.js';
import type { CentredRows } from './centred-rows.js';

/** Up to this many clusters k-means++ chooses them one by one, each the best of a few. */
const ONE_BY_ONE = 512;

/** Rows among which a start is looked for, at the least and for each cluster: more of them cost a pass each, and change little. */
const SAMPLE = { least: 20_480, perCluster: 256 };
export const startRows = (k: number) => Math.max(SAMPLE.least, SAMPLE.perCluster * k);

/** A squared distance of fewer times its own error than this is looked at again, so many at a time. */
const ROUGH = 4;
const PAIRS = 8192;

/** k distinct rows of (N, D). */
export function randomStart(rows: Tensor, k: number, random: Random): Tensor {
  return selectRows(rows, random.choice(rows.size(0), k));
}

/**
 * k-means++ (Arthur and Vassilvitskii 2007), greedy: of 2 + ln k draws the one that lowers the objective most. Beyond
 * 512 clusters each of 512 rounds draws several at once and keeps them all.
 */
export function plusPlusStart(points: CentredRows, k: number, random: Random): Tensor {
  const { rows } = points;
  const trials = 2 + Math.floor(Math.log(k));
  const perRound = Math.ceil(k / ONE_BY_ONE);
  const chosen = [random.int(rows.size(0))];
  let gaps = scope(() => squaredGaps(points, [chosen[0] as number]).reshape([rows.size(0)]));
  while (chosen.length < k) {
    checkStop(points.stop);
    const draws = perRound > 1 ? Math.min(perRound, k - chosen.length) : trials;
    const weights = gaps.toNumbers();
    const drawn = drawByWeight(weights, draws, chosen, random);
    const next = scope(() => {
      const lowered = aten.minimum(squaredGaps(points, drawn), gaps.unsqueeze(1));
      if (perRound > 1) {
        chosen.push(...drawn);
        return lowered.amin(1);
      }
      const best = lowered.sum(0).argmin().item();
      chosen.push(drawn[best] as number);
      return lowered.select(1, best).clone();
    });
    gaps.dispose();
    gaps = next;
  }
  return selectRows(rows, Int32Array.from(chosen));
}

/** Squared distances of all rows to some of them: (N, some). Those that products say little of come from the differences. */
function squaredGaps(points: CentredRows, some: readonly number[]): Tensor {
  const { rows, squares } = points;
  const index = tensor(Int32Array.from(some), { dtype: 'int64', device: rows.device });
  const centres = rows.indexSelect(0, index);
  const products = rows.matmul(centres.t());
  const ofCentres = squares.indexSelect(0, index);
  const gaps = squares.unsqueeze(1).add(ofCentres).sub(products.mul_(2)).clamp_({ min: 0 });
  const { relative, absolute } = filterError(rows.dtype === 'float64' ? 'float64' : 'float32', rows.size(1));
  const norms = squares.sqrt().unsqueeze(1).add(ofCentres.sqrt());
  const error = norms.mul_(norms).mul_(relative).add_(absolute);
  const rough = aten.nonzero(gaps.lt(error.mul_(ROUGH)));
  const precise = points.preciseAt(index);
  for (let start = 0; start < rough.size(0); start += PAIRS) {
    checkStop(points.stop);
    scope(() => {
      const pairs = rough.narrow(0, start, Math.min(PAIRS, rough.size(0) - start));
      const [row, column] = [pairs.select(1, 0), pairs.select(1, 1)];
      const differences = points.preciseAt(row).sub_(precise.indexSelect(0, column));
      const exact = differences.mul_(differences).sum(1).to({ dtype: gaps.dtype });
      aten.index_copy_(gaps.view([-1]), 0, row.mul(some.length).add(column), exact);
    });
  }
  return gaps;
}

/**
 * Distinct rows drawn in proportion to their weights, none of `taken`. Where fewer rows have a weight (the rest
 * equal a chosen one), any others fill up.
 */
function drawByWeight(
  weights: Float64Array,
  count: number,
  taken: readonly number[],
  random: Random,
): number[] {
  for (const row of taken) weights[row] = 0;
  const drawn = new Set<number>();
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (let row = 0; row < weights.length; row++) {
    total += weights[row] as number;
    sums[row] = total;
  }
  // A row drawn twice is drawn again; after many tries the remaining weight is next to nothing.
  for (let tries = 0; tries < 20 * count && drawn.size < count && total > 0; tries++) {
    drawn.add(lowerBound(sums, random.next() * total));
  }
  if (drawn.size === 0) {
    const used = new Set(taken);
    for (let row = 0; row < weights.length && drawn.size < count; row++) {
      if (!used.has(row)) drawn.add(row);
    }
  }
  return [...drawn];
}

/** The first position whose running sum exceeds the value. */
function lowerBound(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function selectRows(rows: Tensor, which: Int32Array): Tensor {
  return rows.indexSelect(0, tensor(which, { dtype: 'int64', device: rows.device }));
}
