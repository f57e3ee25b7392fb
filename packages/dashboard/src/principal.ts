/** Rows that the components are found from; they are directions of the whole, and a sample shows them. */
const SAMPLE = 5000;
const ITERATIONS = 30;

/**
 * The coordinates of N vectors along their two principal components, by orthogonal iteration.
 *
 * @param vectors (N, D)
 * @returns (N, 2)
 */
export function principalPlane(vectors: Float32Array, dim: number, random: () => number): Float32Array {
  const n = vectors.length / dim;
  const step = Math.max(1, Math.floor(n / SAMPLE));
  const mean = new Float64Array(dim);
  for (let row = 0; row < n; row++)
    for (let d = 0; d < dim; d++) mean[d] = (mean[d] as number) + (vectors[row * dim + d] as number) / n;
  const along = (axis: Float64Array, row: number) => {
    let sum = 0;
    for (let d = 0; d < dim; d++)
      sum += (axis[d] as number) * ((vectors[row * dim + d] as number) - (mean[d] as number));
    return sum;
  };
  const axes = [0, 1].map(() => Float64Array.from({ length: dim }, () => random() - 0.5));
  for (let i = 0; i < ITERATIONS; i++) {
    for (const axis of axes) {
      const image = new Float64Array(dim);
      for (let row = 0; row < n; row += step) {
        const share = along(axis, row);
        for (let d = 0; d < dim; d++)
          image[d] =
            (image[d] as number) + share * ((vectors[row * dim + d] as number) - (mean[d] as number));
      }
      axis.set(image);
    }
    const [first, second] = axes as [Float64Array, Float64Array];
    normalise(first);
    const overlap = first.reduce((sum, value, d) => sum + value * (second[d] as number), 0);
    for (let d = 0; d < dim; d++) second[d] = (second[d] as number) - overlap * (first[d] as number);
    normalise(second);
  }
  const plane = new Float32Array(2 * n);
  for (let row = 0; row < n; row++)
    for (const [i, axis] of axes.entries()) plane[2 * row + i] = along(axis, row);
  return plane;
}

function normalise(axis: Float64Array): void {
  const length = Math.sqrt(axis.reduce((sum, value) => sum + value * value, 0));
  for (let d = 0; d < axis.length; d++) axis[d] = length > 0 ? (axis[d] as number) / length : 0;
}
