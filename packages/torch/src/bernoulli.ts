import { noGrad } from './autograd.js';
import { empty } from './creation.js';
import type { DType } from './dtype.js';
import type { Generator } from './random.js';
import { scope } from './scope.js';
import { aten, type Tensor } from './tensor.js';

/**
 * 1 with probability `p`, else 0. Of a generator that several processes share (`Generator.share`) what is drawn for the rows
 * of this one, where the first dimension has as many rows for each image.
 *
 * @throws RangeError for rows that are not the images'
 */
export function bernoulli(
  shape: readonly number[],
  p: number,
  generator: Generator | null,
  options: { dtype: DType; device: string },
): Tensor {
  return scope(() =>
    noGrad(() => {
      const share = generator?.share ?? null;
      if (share === null) return aten.bernoulli_$float(empty([...shape], options), p, generator);
      const [rows = 0, ...rest] = shape;
      const each = rows / share.count;
      if (!Number.isInteger(each))
        throw new RangeError(`bernoulli: expected rows of ${share.count} images, got ${rows}`);
      const all = aten.bernoulli_$float(empty([share.total * each, ...rest], options), p, generator);
      return all.narrow(0, share.from * each, rows).clone();
    }),
  );
}
