import type { Tensor } from '@conquer-dml/torch';

/** Bounds the gradient of the sine at 0 and 180 degrees. */
const LEAST_SQUARED_SINE = 1e-12;

/** cos θ → cos(θ + m), continued beyond 180° by cos θ - m sin m, which goes on decreasing. */
export function withAngularMargin(cosine: Tensor, margin: number): Tensor {
  const [cosM, sinM] = [Math.cos(margin), Math.sin(margin)];
  const sine = cosine.square().neg().add(1).clamp({ min: LEAST_SQUARED_SINE }).sqrt();
  const shifted = cosine.mul(cosM).sub(sine.mul(sinM));
  return shifted.where(cosine.gt(-cosM), cosine.sub(margin * sinM));
}
