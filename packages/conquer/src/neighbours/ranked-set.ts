import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { RankedSet } from './k-reciprocal.js';
import { nearestNeighbours } from './nearest.js';

/** Numbers in a block of distances. */
const BLOCK_NUMBERS = 2 ** 22;

/**
 * Images by a matrix of all their distances: for a few thousand of them.
 *
 * @param distances (N × N) row-major
 */
export function rankedByDistances(distances: ArrayLike<number>, count: number, width: number): RankedSet {
  const kept = Math.min(width, count);
  const nearest = new Int32Array(count * kept);
  const squares = Float64Array.from(distances, (distance) => distance ** 2);
  const order = Array.from({ length: count }, (_, place) => place);
  for (let row = 0; row < count; row++) {
    const own = squares.subarray(row * count, (row + 1) * count);
    const ranked = [...order].sort((a, b) => own[a]! - own[b]! || a - b);
    nearest.set(ranked.slice(0, kept), row * kept);
    const largest = own.reduce((a, b) => Math.max(a, b), 0);
    if (largest > 0) for (let i = 0; i < count; i++) own[i]! /= largest;
  }
  return {
    count,
    width: kept,
    nearest,
    squaresTo: (image, others) => Float64Array.from(others, (other) => squares[image * count + other]!),
    squaresOf(images, others) {
      const block = new Float64Array(images.count * others.count);
      for (let row = 0; row < images.count; row++) {
        const first = (images.start + row) * count + others.start;
        block.set(squares.subarray(first, first + others.count), row * others.count);
      }
      return block;
    },
  };
}

/**
 * Images by their embeddings, whose distances are Euclidean. It reads the embeddings whenever it is asked: they stay the
 * caller's, and have to stay.
 *
 * @param embeddings (N, D)
 * @throws Interrupted after `stop`
 */
export function rankedByRows(embeddings: Tensor, width: number, stop?: StopCheck | undefined): RankedSet {
  const count = embeddings.size(0);
  const { indices, k } = nearestNeighbours(embeddings, embeddings, width, { stop });
  const divisors = largestSquares(embeddings, stop).map((square) => square || 1);
  return {
    count,
    width: k,
    nearest: indices,
    squaresTo: (image, others) =>
      scope(() =>
        noGrad(() => {
          const places = tensor(Int32Array.from(others), { dtype: 'int64', device: embeddings.device });
          const found = embeddings.indexSelect(0, places).to({ dtype: 'float64' });
          const gaps = found
            .sub(embeddings.narrow(0, image, 1))
            .square()
            .sum(1);
          return gaps.div(divisors[image]!).toNumbers();
        }),
      ),
    squaresOf: (images, others) =>
      scope(() =>
        noGrad(() => {
          const block = embeddings.narrow(0, images.start, images.count);
          const all = embeddings.narrow(0, others.start, others.count);
          const own = tensor(divisors.slice(images.start, images.start + images.count), {
            shape: [images.count, 1],
            device: embeddings.device,
          });
          return squaredDistances(block, all).to({ dtype: 'float64' }).div(own).toNumbers();
        }),
      ),
  };
}
function largestSquares(embeddings: Tensor, stop: StopCheck | undefined): Float64Array {
  const count = embeddings.size(0);
  const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / count));
  const largest = new Float64Array(count);
  for (let start = 0; start < count; start += rows) {
    checkStop(stop);
    const block = Math.min(rows, count - start);
    const found = scope(() =>
      noGrad(() =>
        squaredDistances(embeddings.narrow(0, start, block), embeddings)
          .amax(1)
          .toNumbers(),
      ),
    );
    largest.set(found, start);
  }
  return largest;
}

/** (B, M) of rows (B, D) to others (M, D). */
function squaredDistances(block: Tensor, all: Tensor): Tensor {
  const own = block.square().sum(1, true);
  const others = all.square().sum(1);
  return own.add(others).sub(block.matmul(all.t()).mul(2)).clamp({ min: 0 });
}
