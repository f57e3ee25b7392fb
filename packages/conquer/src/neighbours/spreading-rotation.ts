import { type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';

/** The most numbers that are turned together: the time grows with them, and many more are not more even. */
const MOST_TOGETHER = 512;
/** Fewer would stay uneven; where a row has no such parts, all of it is turned. */
const LEAST_TOGETHER = 64;

/** A matrix that parts of rows are multiplied by, and by how much a row is wrong afterwards, as a share of its norm. */
export interface Rotation {
  /** (B, B) float32, B a divisor of D */
  matrix: Tensor;
  error: number;
}

/** Of D numbers so many together. */
export function turnedTogether(dimensions: number): number {
  for (let some = Math.min(dimensions, MOST_TOGETHER); some >= LEAST_TOGETHER; some--)
    if (dimensions % some === 0) return some;
  return dimensions;
}

/** Rows (N, D), each part of them turned. */
export function turnedBy({ matrix }: Rotation, rows: Tensor): Tensor {
  return rows
    .reshape([-1, matrix.size(0)])
    .matmul(matrix)
    .reshape(rows.shape);
}

/**
 * A rotation after which a row's numbers are all of one size: cosines, each row of them with a sign by chance. Products of rows stay
 * what they are, and integers that reach to a row's largest number are more precise the smaller that is.
 *
 * With Q rounded to float32, |QQᵀ - 1| ≤ 2.1 u √B; an inner product y·q of B numbers is wrong by 1.01 B u |y| at most (`filterError`),
 * a part of a row by √B times that, and so is a row. What Q does to products of two rows counts for each of them.
 */
export function spreadingRotation(rowDimensions: number): Rotation {
  const dimensions = turnedTogether(rowDimensions);
  const random = new Random(0);
  const numbers = new Float32Array(dimensions * dimensions);
  // All angles there are, within one turn.
  const turn = 4 * dimensions;
  const cosines = Float64Array.from(
    { length: turn },
    (_, step) => Math.sqrt(2 / dimensions) * Math.cos((2 * Math.PI * step) / turn),
  );
  for (let row = 0; row < dimensions; row++) {
    const sign = random.next() < 0.5 ? -1 : 1;
    numbers[row * dimensions] = sign * Math.sqrt(1 / dimensions);
    for (let k = 1; k < dimensions; k++)
      numbers[row * dimensions + k] = sign * cosines[((2 * row + 1) * k) % turn]!;
  }
  const unit = 2 ** -24;
  const root = Math.sqrt(dimensions);
  return {
    matrix: tensor(numbers, { shape: [dimensions, dimensions] }),
    error: 1.01 * (dimensions + 1) * unit * root + 2 * 2.2 * unit * root,
  };
}
