import { aten, empty, scope, type Tensor, zeros } from '@conquer-dml/torch';

// |x - y|² = |x|² - 2x·y + |y|² costs one matrix product, and loses all of a small distance between rows of large norm.
// So here it only says which rows may be near; differences in float64 decide.

/** Numbers that are summed in float64 at a time: 2 MB, which the processor's cache can hold. */
const PRECISE_NUMBERS = 2 ** 18;

/** Scales of rows whose squares neither overflow nor vanish. */
const NEAR_ONE = { least: 2 ** -20, most: 2 ** 20 };

/** Rows whose mean is taken. */
const MEAN_ROWS = 4096;

export type Precision = 'float32' | 'float64';

/** Where the products are taken: rows less a mean, times a power of two. */
export interface Space {
  /** A power of two that brings the largest number near 1, so that no square overflows or vanishes. */
  scale: number;
  /** (1, D) float64, of the scaled rows, or nearly so. Which point it is does not matter to the distances, only to their rounding. */
  mean: Tensor;
}

/**
 * Scale and mean of the rows of `all` (M, D); `others` (N, D) have the same scale.
 *
 * @throws RangeError for rows that are NaN or infinite, of which there are no distances; `what` they are called
 */
export function spaceOf(what: string, all: Tensor, others: Tensor | null): Space {
  const largest = [all, ...(others ? [others] : [])].map((rows) => {
    if (rows.numel() === 0) return 0;
    const most = scope(() => aten.linalg_vector_norm(rows, Number.POSITIVE_INFINITY).item());
    if (!Number.isFinite(most)) refuseNonFinite(what, rows);
    return most;
  });
  const most = Math.max(...largest);
  // A scale that the rows' precision holds itself.
  const limit = all.dtype === 'float64' ? 1000 : 120;
  const scale = most === 0 ? 1 : 2 ** -Math.max(-limit, Math.min(limit, Math.floor(Math.log2(most))));
  return { scale, mean: middleOf(all, scale) };
}

/** (1, D) float64, the mean of some of the scaled rows: evenly many of all parts, as rows may be sorted. */
function middleOf(rows: Tensor, scale: number): Tensor {
  const count = rows.size(0);
  if (count === 0) return zeros([1, rows.size(1)], { dtype: 'float64', device: rows.device });
  return scope(() => {
    const every = Math.ceil(count / MEAN_ROWS);
    const some = aten.slice$Tensor(rows, 0, 0, count, every).to({ dtype: 'float64' });
    // Scaled first: the sum of the largest numbers there are would be none.
    return some.mul(scale).mean(0, true);
  });
}

/**
 * Whether rows lie around the origin, of numbers near 1: a copy that is moved would be no better to take products of.
 *
 * @param total Σ |x|²
 * @param share of the rows' mean square that their mean's may be at most; at 1/2 the mean is no farther from the origin than
 *   the rows are from it, which doubles the largest |x|² at most
 */
export function liesAroundOrigin(
  { scale, mean }: Space,
  total: number,
  count: number,
  share: number,
): boolean {
  if (scale < NEAR_ONE.least || scale > NEAR_ONE.most) return false;
  const meanSquare = scope(() => mean.div(scale).square().sum().item());
  return count * meanSquare <= share * total;
}

/** Sums in float64 make a copy in float64: so many rows at a time. */
function* pieces(rows: Tensor): Generator<{ start: number; count: number }> {
  const size = Math.max(1, Math.floor(PRECISE_NUMBERS / rows.size(1)));
  for (let start = 0; start < rows.size(0); start += size) {
    yield { start, count: Math.min(size, rows.size(0) - start) };
  }
}

function refuseNonFinite(what: string, rows: Tensor): never {
  const broken = scope(() => rows.isfinite().logicalNot().sum(1).toNumbers());
  const which = [...broken.keys()].filter((row) => broken[row] !== 0);
  throw new RangeError(
    `${what}: expected finite numbers, got NaN or infinity in ${which.length} of ${broken.length} rows, the first is ${which[0]}`,
  );
}

/** The rows (N, D) in a space, (N, D) of the precision, in one pass: a power of two is exact, the mean costs one rounding. */
export function centre(rows: Tensor, { scale, mean }: Space, precision: Precision): Tensor {
  return scope(() =>
    aten.add$Tensor(mean.neg().to({ dtype: precision }), rows.to({ dtype: precision }), scale),
  );
}

/** (N, 1) of the rows' precision, |x|² by sums in float64. */
export function squaredNorms(centred: Tensor): Tensor {
  const squares = empty([centred.size(0), 1], { dtype: centred.dtype, device: centred.device });
  for (const { start, count } of pieces(centred)) {
    scope(() => {
      const norms = aten.linalg_vector_norm(centred.narrow(0, start, count), 2, [1], true, 'float64');
      squares.narrow(0, start, count).copy_(norms.square());
    });
  }
  return squares;
}

/** |product - d²| ≤ relative · (|x| + |y|)² + absolute, for any two rows. */
export interface FilterError {
  relative: number;
  absolute: number;
}

/**
 * By how much a squared distance from products of rows of D numbers may be wrong.
 *
 * A sum of K products in any order, fused or not, is wrong by at most γ_K Σ|a b|, γ_K = K u / (1 - K u) (Higham, Accuracy
 * and Stability of Numerical Algorithms, section 3.1); here K = D + 2 and Σ|a b| ≤ (|x| + |y|)². Rounding the two squared
 * norms adds u (|x|² + |y|²), the one rounding of `centre` moves x and y by u|x| and u|y|, which moves d² by
 * 2 d u (|x| + |y|) ≤ 2 u (|x| + |y|)², and 7 u are left for terms of u² and the rounding of the norms that the bound is
 * taken from. What is below the smallest normal number may have been taken for 0.
 */
export function filterError(precision: Precision, dimensions: number): FilterError {
  const unit = precision === 'float64' ? 2 ** -53 : 2 ** -24;
  const terms = (dimensions + 12) * unit;
  const smallest = precision === 'float64' ? 2 ** -1022 : 2 ** -126;
  return {
    relative: terms < 0.5 ? terms / (1 - terms) : Number.POSITIVE_INFINITY,
    absolute: 16 * (dimensions + 2) * smallest,
  };
}

/**
 * The same of products of 16-bit integers: ρ + 3/2 ρ² with ρ = 0.505 √D / 32766, and what float32 rounds on the way (packages/torch:
 * native/integer-products.h says why).
 */
export function integerError(dimensions: number): FilterError {
  const step = (0.505 * Math.sqrt(dimensions)) / 32766;
  return { ...filterError('float32', dimensions), relative: 1.001 * (step + 1.5 * step * step) + 2 ** -20 };
}

/**
 * Σ x² over the last dimension of float64 numbers, which it overwrites.
 *
 * A plain sum depends on the order of its terms, so that equal distances with their terms in other places, as between rows
 * of signs, come out unequal in the last digit, and chance would order them. Here each term is cut in two, at multiples so
 * coarse that sums of them are exact in any order; what is left of the second cut is 2^-80 of the largest term. So equal
 * sums of exact terms are equal.
 */
export function sumOfSquares(numbers: Tensor): Tensor {
  return scope(() => {
    const squares = numbers.mul_(numbers);
    let terms = 4;
    while (terms < 2 * squares.size(-1)) terms *= 2;
    // (term + coarse) - coarse is a multiple of coarse / 2^53 or of twice that, and all together are less than coarse.
    const coarse = squares.amax(-1, true).mul_(terms);
    const parts = squares.add(coarse).sub_(coarse);
    const rest = squares.sub_(parts);
    const fine = coarse.mul_(2 ** -52 * terms);
    return parts.sum(-1).add_(rest.add_(fine).sub_(fine).sum(-1));
  });
}
