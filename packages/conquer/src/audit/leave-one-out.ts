import { aten, eye, F, noGrad, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import { drawnPlaces } from './drawn-places.js';

/** Rows at a time in float64. */
const BLOCK_ROWS = 512;
/** Rows that shrinkage and temperature are chosen on. */
const SAMPLE = 4096;
/** Shares of the covariance that are taken evenly from all directions, of which the likeliest is chosen. */
const SHRINKAGES = [0.03, 0.1, 0.3];
/** Temperatures of the classes' probabilities. Those of a Gaussian are far too sure in many dimensions. */
const TEMPERATURES = [1, 2, 3, 4, 6, 8, 12, 16, 24];
/** Classes that are kept of each row. */
const KEPT = 6;

export interface LeaveOneOutOptions {
  /** Default: the one under which the labels are likeliest. */
  shrinkage?: number | undefined;
  temperature?: number | undefined;
  /** Ends it, with Interrupted. */
  stop?: StopCheck | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** To which class all other rows would put each row. */
export interface LeaveOneOut {
  /** (N,) probability of the row's own label; NaN where it is the only row of its class. */
  own: Float64Array;
  /** K, the likeliest classes that are kept of each row. */
  kept: number;
  /** (N × K) the likeliest classes, likeliest first. */
  classes: Int32Array;
  /** (N × K) their probabilities. */
  probabilities: Float64Array;
  shrinkage: number;
  temperature: number;
}

/**
 * Linear discriminant analysis of each row without it: classes are Gaussians around their means of one covariance, which is shrunk
 * towards the same in all directions (Friedman, "Regularized Discriminant Analysis", 1989). A row's part in its class's mean and
 * in the covariance is taken out in closed form (Sherman and Morrison), so that a row does not vouch for its own label.
 *
 * @param rows (N, D)
 * @param labels (N,) 0…numClasses−1
 * @throws RangeError for labels of fewer than two classes, or none of two rows
 */
export function leaveOneOut(
  rows: Tensor,
  labels: Int32Array,
  numClasses: number,
  { shrinkage, temperature, stop, onProgress }: LeaveOneOutOptions = {},
): LeaveOneOut {
  return noGrad(() =>
    scope(() => {
      const size = rows.size(0);
      const counts = new Float64Array(numClasses);
      for (const label of labels) counts[label]!++;
      if (counts.filter((count) => count > 0).length < 2 || counts.every((count) => count < 2))
        throw new RangeError('leave one out: expected rows of two classes or more, one of them of two rows');
      const moments = momentsOf(rows, labels, counts, stop);
      const chosen = { shrinkage: shrinkage ?? SHRINKAGES[0]!, temperature: temperature ?? TEMPERATURES[0]! };
      if (shrinkage === undefined || temperature === undefined) {
        // Rows whose class has another.
        const able = [...labels.keys()].filter((place) => counts[labels[place]!]! > 1);
        const sample = drawnPlaces(able, SAMPLE);
        const ways = temperature === undefined ? TEMPERATURES : [temperature];
        let best = Number.POSITIVE_INFINITY;
        for (const share of shrinkage === undefined ? SHRINKAGES : [shrinkage]) {
          const losses = lossesOf(new Discriminant(moments, share), rows, labels, sample, ways, stop);
          for (const [at, loss] of losses.entries())
            if (loss < best) [best, chosen.shrinkage, chosen.temperature] = [loss, share, ways[at]!];
        }
      }
      const discriminant = new Discriminant(moments, chosen.shrinkage);
      const kept = Math.min(KEPT, numClasses);
      const own = new Float64Array(size).fill(Number.NaN);
      const classes = new Int32Array(size * kept);
      const probabilities = new Float64Array(size * kept);
      for (let start = 0; start < size; start += BLOCK_ROWS) {
        checkStop(stop);
        const places = range(start, Math.min(size, start + BLOCK_ROWS));
        scope(() => {
          const logits = discriminant.logits(rows, labels, places, chosen.temperature);
          const shares = F.softmax(logits, 1);
          const { values, indices } = shares.topk(kept);
          probabilities.set(values.toTypedArray() as Float64Array, start * kept);
          classes.set(Int32Array.from(indices.toNumbers()), start * kept);
          const of = shares.gather(1, columnOf(labels, places)).toNumbers();
          for (const [i, place] of places.entries()) if (counts[labels[place]!]! > 1) own[place] = of[i]!;
        });
        onProgress?.({ done: start + places.length, total: size });
      }
      return { own, kept, classes, probabilities, ...chosen };
    }),
  );
}

interface Moments {
  /** (C, D) in float64; 0 for a class without rows. */
  means: Tensor;
  /** (D, D) sum of the products of what rows are off their classes' means. */
  within: Tensor;
  /** (C,) */
  counts: Float64Array;
  size: number;
}

function momentsOf(rows: Tensor, labels: Int32Array, counts: Float64Array, stop?: StopCheck): Moments {
  const [size, dim] = rows.shape as [number, number];
  const sums = zeros([counts.length, dim], { dtype: 'float64' });
  const products = zeros([dim, dim], { dtype: 'float64' });
  eachBlock(rows, stop, (block, start) => {
    sums.indexAdd_(
      0,
      tensor(BigInt64Array.from(labels.subarray(start, start + block.size(0)), BigInt)),
      block,
    );
  });
  const means = sums.div(tensor(counts.map((count) => Math.max(1, count))).unsqueeze(1));
  eachBlock(rows, stop, (block, start) => {
    const off = block.sub(
      means.indexSelect(0, columnOf(labels, range(start, start + block.size(0))).squeeze(1)),
    );
    products.add_(off.t().matmul(off));
  });
  return { means, within: products, counts, size };
}

function eachBlock(
  rows: Tensor,
  stop: StopCheck | undefined,
  work: (block: Tensor, start: number) => void,
): void {
  for (let start = 0; start < rows.size(0); start += BLOCK_ROWS) {
    checkStop(stop);
    scope(() => {
      const count = Math.min(BLOCK_ROWS, rows.size(0) - start);
      work(rows.narrow(0, start, count).to({ dtype: 'float64' }), start);
    });
  }
}

/** Squared distances of rows from the means of classes, in the metric of the other rows. */
class Discriminant {
  /** (D, D) S⁻¹ */
  readonly #inverse: Tensor;
  /** (D, C) S⁻¹ m of each class. */
  readonly #directions: Tensor;
  /** (C,) m S⁻¹ m */
  readonly #norms: Tensor;
  /** What a row's product weighs in S, before the class's own factor. */
  readonly #weight: number;

  constructor(
    private readonly moments: Moments,
    shrinkage: number,
  ) {
    const { means, within, counts, size } = moments;
    const dim = means.size(1);
    const classes = counts.filter((count) => count > 0).length;
    this.#weight = (1 - shrinkage) / Math.max(1, size - classes);
    const covariance = within.mul(this.#weight);
    const variance = aten.trace(within).item() / Math.max(1, size - classes) / dim;
    // Where all rows are their classes' means there is no metric: any will do.
    covariance.add_(eye(dim, { dtype: 'float64' }).mul(variance > 0 ? shrinkage * variance : 1));
    this.#inverse = aten.linalg_inv(covariance);
    this.#directions = this.#inverse.matmul(means.t());
    this.#norms = means.mul(this.#directions.t()).sum(1);
  }

  /** (places.length, C) logarithms of the classes' shares, up to a constant. */
  logits(rows: Tensor, labels: Int32Array, places: readonly number[], temperature: number): Tensor {
    const { means, counts } = this.moments;
    const own = columnOf(labels, places);
    const x = rows.indexSelect(0, tensor(BigInt64Array.from(places, BigInt))).to({ dtype: 'float64' });
    const ownMeans = means.indexSelect(0, own.squeeze(1));
    const products = x.matmul(this.#directions);
    const ownProducts = ownMeans.matmul(this.#directions);
    const norm = x.matmul(this.#inverse).mul(x).sum(1).unsqueeze(1);
    const squares = norm.sub(products.mul(2)).add(this.#norms);
    // r = x − m of the own class; h = r S⁻¹ r, and d S⁻¹ r for d = x − m of each class.
    const toOwn = products.gather(1, own);
    const h = squares.gather(1, own);
    const cross = norm.sub(toOwn).sub(products).add(ownProducts);
    const n = tensor(Float64Array.from(places, (place) => counts[labels[place]!]!)).unsqueeze(1);
    const grown = n.div(n.sub(1).clamp({ min: 1e-9 }));
    // The only row of its class is no part of S: it is its class's mean.
    const weight = grown.mul(this.#weight).maskedFill(n.lt(2), 0);
    const rest = weight.mul(h).neg().add(1).clamp({ min: 1e-9 });
    const without = squares.add(cross.square().mul(weight).div(rest));
    const ownWithout = grown.square().mul(h).div(rest).maskedFill(n.lt(2), 1e300);
    const distances = without.scatter_(1, own, ownWithout);
    const prior = tensor(counts.map((count) => (count > 0 ? Math.log(count) : -1e300)));
    return distances.mul(-0.5 / temperature).add(prior);
  }
}

/** Mean −log p of the own label of some rows, at each temperature. */
function lossesOf(
  discriminant: Discriminant,
  rows: Tensor,
  labels: Int32Array,
  sample: readonly number[],
  temperatures: readonly number[],
  stop?: StopCheck,
): number[] {
  const sums = temperatures.map(() => 0);
  for (let start = 0; start < sample.length; start += BLOCK_ROWS) {
    checkStop(stop);
    const places = sample.slice(start, start + BLOCK_ROWS);
    scope(() => {
      for (const [at, temperature] of temperatures.entries())
        scope(() => {
          const logits = discriminant.logits(rows, labels, places, temperature);
          const shares = F.logSoftmax(logits, 1).gather(1, columnOf(labels, places));
          // A label that all others speak against is one row of many, and not the end of the likelihood.
          sums[at]! -= shares.clamp({ min: -20 }).sum().item();
        });
    });
  }
  return sums;
}

const range = (start: number, end: number): number[] =>
  Array.from({ length: end - start }, (_, i) => start + i);

const columnOf = (labels: Int32Array, places: readonly number[]): Tensor =>
  tensor(BigInt64Array.from(places, (place) => BigInt(labels[place]!))).unsqueeze(1);
