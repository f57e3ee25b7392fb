import { aten, full, noGrad, scope, type Tensor, zeros } from '@conquer-dml/torch';

/** Bounds the gradient of the sine at 0 and 180 degrees. */
const LEAST_SQUARED_SINE = 1e-12;

/** A function of the cosines at a point: its value is `slope · cos + offset` there, and `slope` its derivative. */
export interface Tangent {
  slope: Tensor;
  offset: Tensor;
}

/** cos θ → cos(θ + m), continued beyond 180° by cos θ - m sin m, which goes on decreasing: of the shape of the cosines. */
export function angularMargin(cosine: Tensor, margin: number): Tangent {
  const [cosM, sinM] = [Math.cos(margin), Math.sin(margin)];
  return scope(() =>
    noGrad(() => {
      const squaredSine = aten.rsub$Scalar(cosine.square(), 1, 1);
      const sine = squaredSine.clamp({ min: LEAST_SQUARED_SINE }).sqrt();
      const ofSine = cosine.div(sine).mul(squaredSine.ge(LEAST_SQUARED_SINE)).mul(sinM);
      const within = cosine.gt(-cosM);
      // cos m cos θ - sin m sin θ less its slope times cos θ.
      const rest = sine.mul(-sinM).sub(ofSine.mul(cosine));
      return { slope: ofSine.add(cosM).where(within, 1), offset: rest.where(within, -margin * sinM) };
    }),
  );
}

/**
 * Logits `scale · cos`, with a margin for each image's own class. One operator that is recorded, where the margin itself would be
 * ten, and as many for its gradient.
 *
 * @param cosines (B, C)
 * @param own (B, 1) int64
 * @param of (B, 1), what becomes of the own class's cosine
 * @param ignored bool (B, C), other classes that count as 0; null: none
 */
export function marginLogits(
  cosines: Tensor,
  own: Tensor,
  { slope, offset }: Tangent,
  { scale, ignored = null }: { scale: number; ignored?: Tensor | null },
): Tensor {
  return scope(() => {
    const { shape, dtype, device } = cosines;
    const [factors, offsets] = noGrad(() => {
      const all = full(shape, scale, { dtype, device });
      const others = ignored === null ? all : all.maskedFill(ignored, 0);
      return [
        others.scatter_(1, own, slope.mul(scale)),
        zeros(shape, { dtype, device }).scatter_(1, own, offset.mul(scale)),
      ] as const;
    });
    return aten.addcmul(offsets, cosines, factors);
  });
}
