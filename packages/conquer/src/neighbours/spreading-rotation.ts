import { type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';

/** A matrix that rows are multiplied by, and by how much each is wrong afterwards, as a share of its norm. */
export interface Rotation {
  /** (D, D) float32 */
  matrix: Tensor;
  error: number;
}

/**
 * A rotation after which a row's numbers are all of one size: cosines, each row of them with a sign by chance. Products of rows stay
 * what they are, and integers that reach to a row's largest number are more precise the smaller that is.
 *
 * With Q rounded to float32, |QQᵀ - 1| ≤ 2.1 u √D; an inner product y·q is wrong by 1.01 D u |y| at most (`filterError`), a row by √D times
 * that. What Q does to products of two rows counts for each of them.
 */
export function spreadingRotation(dimensions: number): Rotation {
  const random = new Random(0);
  const numbers = new Float32Array(dimensions * dimensions);
  for (let row = 0; row < dimensions; row++) {
    const sign = random.next() < 0.5 ? -1 : 1;
    for (let k = 0; k < dimensions; k++) {
      const size = Math.sqrt((k === 0 ? 1 : 2) / dimensions);
      // The angle within one turn first: a large one would cost the cosine its precision.
      const step = ((2 * row + 1) * k) % (4 * dimensions);
      numbers[row * dimensions + k] = sign * size * Math.cos((Math.PI * step) / (2 * dimensions));
    }
  }
  const unit = 2 ** -24;
  const root = Math.sqrt(dimensions);
  return {
    matrix: tensor(numbers, { shape: [dimensions, dimensions] }),
    error: 1.01 * (dimensions + 1) * unit * root + 2 * 2.2 * unit * root,
  };
}
