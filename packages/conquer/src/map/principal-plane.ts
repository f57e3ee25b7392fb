import { aten, noGrad, scope, type Tensor } from '@conquer-dml/torch';

/** Rows that the components are found from: they are directions of the whole, and a sample shows them. */
const SAMPLE = 20_000;

/**
 * The coordinates of rows along their two principal components.
 * @param rows float32 (N, D)
 * @returns (N, 2) float32; it belongs to the innermost open scope(), or else to the caller
 */
export function principalPlane(rows: Tensor): Tensor {
  return scope(() =>
    noGrad(() => {
      const step = Math.ceil(rows.size(0) / SAMPLE);
      const sample = aten.slice$Tensor(rows, 0, 0, rows.size(0), step).to({ dtype: 'float64' });
      const mean = sample.mean(0, true);
      const centred = sample.sub(mean);
      const [, vectors] = aten.linalg_eigh(centred.t().matmul(centred));
      const used = Math.min(2, rows.size(1));
      // Ascending: the last two. A vector's sign is anyone's, so that its largest number is made positive.
      const axes = vectors.narrow(1, rows.size(1) - used, used);
      const largest = aten.gather(axes, 0, aten.argmax(axes.abs(), 0, true));
      const plane = axes.mul(largest.sign()).to({ dtype: 'float32' });
      const offset = mean.to({ dtype: 'float32' }).matmul(plane);
      const along = rows.matmul(plane).sub_(offset);
      return used === 2 ? along : aten.constant_pad_nd(along, [0, 1], 0);
    }),
  );
}
