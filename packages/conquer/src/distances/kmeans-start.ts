import { aten, scope, type Tensor, tensor } from '@conquer/torch';
import type { Random } from '../random.js';
import type { Steps } from './steps.js';

/** Up to this many clusters k-means++ chooses them one by one, each the best of a few. */
const ONE_BY_ONE = 512;

/** Rows among which k-means++ chooses, at the least and for each cluster: more of them cost a pass each, and change little. */
const SAMPLE = { least: 20_480, perCluster: 256 };

/** k distinct rows of (N, D). */
export function randomStart(rows: Tensor, k: number, random: Random): Tensor {
  return selectRows(rows, random.choice(rows.size(0), k));
}

/**
 * k-means++ (Arthur and Vassilvitskii 2007), greedy: of 2 + ln k draws the one that lowers the objective most. Beyond
 * 512 clusters each of 512 rounds draws several at once and keeps them all. Of more than 20,480 rows, and 256 for each
 * cluster, it looks at a random part.
 *
 * @param squares (N,), the squared norms of the rows
 */
export function* plusPlusStart(rows: Tensor, squares: Tensor, k: number, random: Random): Steps<Tensor> {
  const sample = Math.max(SAMPLE.least, SAMPLE.perCluster * k);
  if (rows.size(0) <= sample) return yield* chooseAmong(rows, squares, k, random);
  const some = random.choice(rows.size(0), sample);
  const [sampled, ofSampled] = [selectRows(rows, some), selectRows(squares, some)];
  const start = yield* chooseAmong(sampled, ofSampled, k, random);
  sampled.dispose();
  return start;
}

function* chooseAmong(rows: Tensor, squares: Tensor, k: number, random: Random): Steps<Tensor> {
  const trials = 2 + Math.floor(Math.log(k));
  const perRound = Math.ceil(k / ONE_BY_ONE);
  const chosen = [random.int(rows.size(0))];
  let gaps = scope(() => squaredGaps(rows, squares, [chosen[0] as number]).reshape([rows.size(0)]));
  while (chosen.length < k) {
    const draws = perRound > 1 ? Math.min(perRound, k - chosen.length) : trials;
    const weights = gaps.toNumbers();
    const drawn = drawByWeight(weights, draws, chosen, random);
    const next = scope(() => {
      const lowered = aten.minimum(squaredGaps(rows, squares, drawn), gaps.unsqueeze(1));
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
    yield;
  }
  return selectRows(rows, Int32Array.from(chosen));
}

/** Squared distances of all rows to some of them: (N, some). */
function squaredGaps(rows: Tensor, squares: Tensor, some: readonly number[]): Tensor {
  const centres = selectRows(rows, Int32Array.from(some));
  const products = rows.matmul(centres.t());
  return squares.unsqueeze(1).add(centres.mul(centres).sum(1)).sub(products.mul_(2)).clamp_({ min: 0 });
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
