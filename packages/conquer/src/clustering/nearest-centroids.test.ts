import { Generator, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { hardRows } from '../testing/hard-rows.js';
import { CentredRows } from './centred-rows.js';
import { ElkanCentroids } from './elkan-centroids.js';
import { FewNearestCentroids } from './few-centroids.js';
import { NearestCentroids } from './nearest-centroids.js';

/** By differences in float64, of equally near ones the first. */
function nearest(rows: Tensor, centroids: Tensor): number[] {
  const gaps = rows
    .to({ dtype: 'float64' })
    .unsqueeze(1)
    .sub(centroids.to({ dtype: 'float64' }));
  return [...gaps.square().sum(2).argmin(1).toNumbers()];
}

describe('each row has its nearest centroid wherever these move', () => {
  for (const { name, rows } of hardRows) {
    for (const [way, Way] of [
      ['few bounds', NearestCentroids],
      ['all bounds', ElkanCentroids],
      ['one pass', FewNearestCentroids],
    ] as const) {
      it(`${way}: ${name}`, () => {
        for (const [count, dimensions, k] of [
          [300, 7, 9],
          [200, 33, 24],
        ] as const) {
          scope(() => {
            const x = rows(count, dimensions, 3);
            const points = new CentredRows(x, null);
            const clusters = new Way(points, k);
            const generator = new Generator(5);
            let centroids = points.representable(points.rows.narrow(0, 10, k));
            clusters.assignAll(centroids);
            // Far, near, hardly, and one of them alone.
            for (const size of [0, 0.5, 1e-2, 1e-4, 1e-6, null, null]) {
              const moves = randn([k, dimensions], { generator }).mul(size ?? 1e-2);
              if (size === null) moves.narrow(0, 1, k - 1).zero_();
              const spread = points.rows.sub(points.rows.mean(0)).abs().mean();
              const after = points.representable(centroids.add(moves.mul(spread)));
              clusters.follow(centroids, after);
              centroids = after;
              const found = [...clusters.nearest.toNumbers()];
              const wanted = nearest(x, points.outOf(centroids));
              const wrong = found.filter(
                (own, row) =>
                  own !== wanted[row] && !tied(x, points.outOf(centroids), row, own, wanted[row]!),
              );
              expect(wrong).toEqual([]);
            }
          });
        }
      });
    }
  }
});

/** Whether the two are equally near but for the rounding of the sums. */
function tied(rows: Tensor, centroids: Tensor, row: number, a: number, b: number): boolean {
  const square = (of: number) =>
    rows
      .narrow(0, row, 1)
      .to({ dtype: 'float64' })
      .sub(centroids.narrow(0, of, 1))
      .square()
      .sum()
      .item();
  return Math.abs(square(a) - square(b)) <= 1e-13 * square(a);
}
