import { aten, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';

export const ballOptions = z.strictObject({
  curvature: z
    .number()
    .min(0)
    .default(0.1)
    .describe('c: the ball has the radius 1/√c; 0: unit vectors and their cosine'),
  clipRadius: z
    .number()
    .min(1e-3)
    .nullable()
    .default(2.3)
    .describe('r: longer embeddings are shortened to it, before the map into the ball; null: none is'),
});

/** The Poincaré ball and the way into it. */
export type Ball = z.output<typeof ballOptions>;

export const usualBall: Ball = ballOptions.parse({});

/** Least length that is divided by. */
const LEAST = 1e-5;
/** How near the ball's edge a point may be, as a share of its radius. */
const EDGE = 1e-3;
/** How near 1 the argument of artanh may be. */
const NEAR_ONE = 1e-5;

/** Least square of which the root is taken. */
const LEAST_SQUARE = 1e-30;

const lengths = (x: Tensor) => x.norm(2, 1, true);

/**
 * The head that maps into the Poincaré ball (Ermolov, Mirvakhabova, Khrulkov, Sebe, Oseledets, "Hyperbolic vision
 * transformers: combining improvements in metric learning", CVPR 2022): shortens to the clip radius, then the
 * exponential map at 0. (N, D) of any length → points (N, D), which belong to the caller.
 */
export function toPoincareBall(embeddings: Tensor, { curvature, clipRadius }: Ball): Tensor {
  return scope(() => {
    const shortened =
      clipRadius === null
        ? embeddings
        : embeddings.mul(lengths(embeddings).add(LEAST).reciprocal().mul(clipRadius).clamp({ max: 1 }));
    const root = Math.sqrt(curvature);
    const length = lengths(shortened).clamp({ min: LEAST });
    const points = shortened.mul(length.mul(root).tanh().div(length.mul(root)));
    const most = (1 - EDGE) / root;
    const reach = lengths(points).clamp({ min: LEAST });
    return points.where(reach.le(most), points.div(reach).mul(most));
  });
}

/**
 * Distances in the ball between points (A, D) and (N, D): (A, N), differentiable. 2/√c artanh(√c |-a ⊕ b|) by inner products
 * alone, never (A, N, D) numbers.
 */
export function ballDistances(a: Tensor, b: Tensor, c: number): Tensor {
  return scope(() => {
    const products = a.matmul(b.t());
    const [aa, bb] = [a.square().sum(1, true), b.square().sum(1).unsqueeze(0)];
    // |-a ⊕ b|² = |a - b|² / r, but for what is added to the divisor.
    const r = products.mul(-2 * c).add(
      aa
        .mul(bb)
        .mul(c * c)
        .add(1),
    );
    const square = aa.add(bb).sub(products.mul(2)).mul(r);
    const root = Math.sqrt(c);
    const z = square.clamp({ min: LEAST_SQUARE }).sqrt().div(r.add(LEAST)).mul(root);
    return artanh(z).mul(2 / root);
  });
}

/**
 * Distances of embeddings (A, D), (N, D) after the map into the ball; computed in float64, since near the edge float32 has
 * no digits left to tell them by.
 */
export function poincareDistances(a: Tensor, b: Tensor, ball: Ball = usualBall): Tensor {
  return scope(() => {
    const points = toPoincareBall(a.to('float64'), ball);
    const others = a === b ? points : toPoincareBall(b.to('float64'), ball);
    return ballDistances(points, others, ball.curvature).to(a.dtype);
  });
}

/** Beyond ±(1 - 1e-5) as there, and with the gradient there, so that points at the edge do not stop moving. */
function artanh(z: Tensor): Tensor {
  const most = 1 - NEAR_ONE;
  const fixed = z.detach();
  const within = fixed.clamp({ min: -most, max: most });
  const slope = within.square().neg().add(1).reciprocal();
  return aten.atanh(within).add(z.sub(fixed).mul(slope));
}
