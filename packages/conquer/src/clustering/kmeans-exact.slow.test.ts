import { type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { hardRows } from '../testing/hard-rows.js';
import { kMeans } from './kmeans.js';

/** Rows that have another centroid than the nearest by differences in float64, the first of equally near ones. */
function compare(x: Tensor, centroids: Tensor, assignments: Int32Array) {
  const [n, d, k] = [x.size(0), x.size(1), centroids.size(0)];
  const [rows, of] = [x.toNumbers(), centroids.toNumbers()];
  let wrong = 0;
  let objective = 0;
  for (let row = 0; row < n; row++) {
    const square = (cluster: number) => {
      let sum = 0;
      for (let i = 0; i < d; i++) sum += (rows[row * d + i]! - of[cluster * d + i]!) ** 2;
      return sum;
    };
    let best = 0;
    for (let cluster = 1; cluster < k; cluster++) if (square(cluster) < square(best)) best = cluster;
    const own = square(assignments[row]!);
    if (own > square(best) * (1 + 1e-13)) wrong++;
    objective += own;
  }
  return { wrong, objective };
}

describe('k-means assigns by differences in float64', () => {
  for (const { name, rows } of hardRows) {
    it(name, () => {
      for (const [count, dimensions, k, init] of [
        [400, 5, 6, 'k-means++'],
        [300, 40, 30, 'k-means++'],
        [300, 16, 20, 'random'],
      ] as const) {
        const x = rows(count, dimensions, 31);
        for (const given of [x, x.to({ dtype: 'float64' })]) {
          for (const maxIterations of [0, 2, 100]) {
            const options = { random: new Random(1), init, maxIterations, tolerance: 0 };
            const { assignments, centroids, objective } = kMeans(given, k, options);
            const { wrong, objective: wanted } = compare(given, centroids, assignments);
            expect(wrong).toBe(0);
            const rounding = 1e-28 * given.to({ dtype: 'float64' }).square().sum().item();
            expect(Math.abs(objective - wanted)).toBeLessThanOrEqual(1e-6 * wanted + rounding);
            centroids.dispose();
          }
        }
      }
    });
  }

  it('gives a row that is as near to several centroids to the first of them', () => {
    // Whole numbers, between centroids an even number apart; also far out, and where the mean is no whole number.
    const line = Float32Array.from({ length: 25 }, (_, i) => i - 7);
    const centres = [15, -5, 1, 5, -5, 11];
    const wanted = [...line].map((value) => {
      const gaps = centres.map((centre) => Math.abs(value - centre));
      return gaps.indexOf(Math.min(...gaps));
    });
    for (const offset of [0, 0.5, 1e6]) {
      const x = tensor(
        line.map((value) => value + offset),
        { shape: [25, 1] },
      );
      const centroids = tensor(
        Float32Array.from(centres, (value) => value + offset),
        { shape: [6, 1] },
      );
      for (const dtype of ['float32', 'float64'] as const) {
        const options = { random: new Random(1), centroids: centroids.to({ dtype }), maxIterations: 0 };
        expect([...kMeans(x.to({ dtype }), 6, options).assignments]).toEqual(wanted);
      }
    }
  });

  it('finds the groups of one heap and of two, wherever they lie', () => {
    // Four groups of 50, ten times as far from each other as they are wide.
    const random = new Random(2);
    const labels = Int32Array.from({ length: 200 }, (_, i) => i % 4);
    const groups = hardRows[2]!.rows(4, 8, 1).mul(10);
    const near = groups.repeat([50, 1]).add(hardRows[2]!.rows(200, 8, 2));
    for (const x of [near.mul(1e-20), near.mul(1e18), near.add(1e5), near.div(100).add(1e3)]) {
      const best = Array.from({ length: 5 }, () => kMeans(x, 4, { random })).sort(
        (a, b) => a.objective - b.objective,
      )[0]!;
      const pairs = new Set(labels.map((label, i) => label * 4 + best.assignments[i]!));
      expect(pairs.size).toBe(4);
    }
  });
});
