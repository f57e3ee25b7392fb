import { aten, cat, noGrad, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import type { StopCheck } from '../stop-check.js';
import { nearestNeighbours } from './nearest.js';
import type { Neighbours } from './neighbours.js';
import { type Ball, toPoincareBall } from './poincare.js';
import { rowBlocks } from './row-blocks.js';

/**
 * Rows of which the Euclidean distances from queries to a gallery rank as the distances in the Poincaré ball do, so that every search
 * can go by them. On the hyperboloid (Lorentz model) cosh(√c d) = x₀y₀ - ⟨x, y⟩, a product of a query (-x₀, x) and a gallery row
 * (y₀, y); with one more number the gallery's rows are all as long as the longest, and the largest product is the least distance.
 *
 * @param queries (N, D) of any length, as a model gives them before they are scaled
 * @param gallery (M, D) of such; may be the queries
 * @returns (N, D + 2) and (M, D + 2) in float64, which belong to the caller
 */
export function asEuclidean(
  queries: Tensor,
  gallery: Tensor,
  ball: Ball,
): { queries: Tensor; gallery: Tensor } {
  return scope(() => {
    const [x0, x] = onHyperboloid(queries, ball);
    const [y0, y] = gallery === queries ? [x0, x] : onHyperboloid(gallery, ball);
    const squares = y0.square().add(y.square().sum(1, true));
    const missing = squares.max().sub(squares).clamp({ min: 0 }).sqrt();
    const none = zeros([x.size(0), 1], { dtype: 'float64', device: x.device });
    return { queries: cat([x0.neg(), x, none], 1), gallery: cat([y0, y, missing], 1) };
  });
}

/**
 * The k nearest of a gallery by the distance in the ball, and these distances. A query that is in the gallery finds itself.
 *
 * @param queries (N, D), `gallery` (M, D): as those of `asEuclidean`
 */
export function nearestInBall(
  queries: Tensor,
  gallery: Tensor,
  k: number,
  ball: Ball,
  stop?: StopCheck | undefined,
): Neighbours {
  return scope(() =>
    noGrad(() => {
      const rows = asEuclidean(queries, gallery, ball);
      const found = nearestNeighbours(rows.queries, rows.gallery, k, { stop });
      const distances = new Float32Array(found.indices.length);
      const [dim, root] = [rows.queries.size(1), Math.sqrt(ball.curvature)];
      for (const { start, count } of rowBlocks(rows.queries.size(0), found.k * dim)) {
        const places = found.indices.subarray(start * found.k, (start + count) * found.k);
        const ofBlock = scope(() => {
          const index = tensor(places, { dtype: 'int64', device: queries.device });
          const near = rows.gallery.indexSelect(0, index).view([count, found.k, dim]);
          const cosh = near.matmul(rows.queries.narrow(0, start, count).unsqueeze(2)).neg();
          return aten
            .acosh(cosh.clamp({ min: 1 }))
            .div(root)
            .toNumbers();
        });
        distances.set(ofBlock, start * found.k);
      }
      return { ...found, distances };
    }),
  );
}

/** (N, 1) and (N, D): of a point p of the ball (1 + c|p|²) / (1 - c|p|²) and 2√c p / (1 - c|p|²). */
function onHyperboloid(rows: Tensor, ball: Ball): [Tensor, Tensor] {
  const points = toPoincareBall(rows.detach().to({ dtype: 'float64' }), ball);
  const share = points.square().sum(1, true).mul(ball.curvature);
  const rest = share.neg().add(1).reciprocal();
  return [share.add(1).mul(rest), points.mul(2 * Math.sqrt(ball.curvature)).mul(rest)];
}
