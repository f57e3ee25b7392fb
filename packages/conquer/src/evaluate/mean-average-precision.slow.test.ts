import { type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { hardRows } from '../testing/hard-rows.js';
import { countRelevant } from './count-relevant.js';
import { evaluateEmbeddings } from './evaluate.js';
import { meanAveragePrecision } from './mean-average-precision.js';

/** By a full ranking on differences in float64; of equally near images the lower one comes first. */
function byRanking(
  x: Tensor,
  labels: Int32Array,
  depth: number,
  gallery?: { x: Tensor; labels: Int32Array },
) {
  const [d, q, g] = [x.size(1), x.toNumbers(), (gallery?.x ?? x).toNumbers()];
  const galleryLabels = gallery?.labels ?? labels;
  let total = 0;
  for (const [row, label] of labels.entries()) {
    const ranked = [...galleryLabels.keys()]
      .filter((position) => gallery !== undefined || position !== row)
      .map((position) => {
        let square = 0;
        for (let i = 0; i < d; i++) square += (q[row * d + i]! - g[position * d + i]!) ** 2;
        return { position, square, hit: galleryLabels[position] === label };
      })
      .sort((a, b) => a.square - b.square || a.position - b.position);
    const found = Math.min(depth, ranked.filter(({ hit }) => hit).length);
    let hits = 0;
    let sum = 0;
    for (const [i, { hit }] of ranked.slice(0, depth).entries()) if (hit) sum += ++hits / (i + 1);
    if (found > 0) total += sum / found;
  }
  return total / labels.length;
}

describe('mean average precision is that of differences in float64', () => {
  for (const { name, rows } of hardRows) {
    it(name, () => {
      const random = new Random(3);
      for (const [count, dimensions, classes] of [[160, 5, 12] as const, [90, 67, 3] as const]) {
        const x = rows(count, dimensions, 11);
        const labels = Int32Array.from({ length: count }, () => random.int(classes));
        const some = { x: x.narrow(0, 0, 30), labels: labels.subarray(0, 30) };
        for (const precise of [x, x.to({ dtype: 'float64' })]) {
          const depths = [20, Infinity];
          const own = meanAveragePrecision(precise, labels, countRelevant(labels, null), depths);
          const gallery = { embeddings: precise, labels };
          const relevant = countRelevant(some.labels, labels);
          const queries = precise.narrow(0, 0, 30);
          const other = meanAveragePrecision(queries, some.labels, relevant, depths, {
            gallery,
            blockSize: 7,
          });
          for (const [i, depth] of depths.entries()) {
            expect(own[i]).toBeCloseTo(byRanking(x, labels, depth), 12);
            expect(other[i]).toBeCloseTo(byRanking(some.x, some.labels, depth, { x, labels }), 12);
          }
        }
      }
    });
  }

  it('takes distances as equal that are sums of the same terms in other places', () => {
    const random = new Random(8);
    const [count, dimensions] = [150, 130];
    const signs = Float32Array.from({ length: count * dimensions }, () => (random.next() < 0.5 ? 1 : -1));
    const labels = Int32Array.from({ length: count }, () => random.int(11));
    const exact = tensor(signs, { shape: [count, dimensions] });
    const rounded = exact.mul(0.1);
    const relevant = countRelevant(labels, null);
    const wanted = byRanking(exact, labels, Infinity);
    for (const x of [exact, rounded, rounded.to({ dtype: 'float64' })]) {
      expect(meanAveragePrecision(x, labels, relevant, [Infinity])[0]).toBeCloseTo(wanted, 12);
    }
  });

  it('and so are the metrics of the first neighbours, in float32 as in float64', () => {
    const random = new Random(5);
    for (const { name, rows } of hardRows) {
      const x = rows(200, 16, 1);
      const labels = Int32Array.from({ length: 200 }, () => random.int(20));
      const options = { recallAt: [1, 5], nmi: false as const, extended: true };
      const single = evaluateEmbeddings(x, labels, options);
      const double = evaluateEmbeddings(x.to({ dtype: 'float64' }), labels, options);
      for (const metric of ['R@1', 'R@5', 'MAP@R', 'mARP', 'MAP@1000', 'MAP']) {
        expect(single[metric], `${metric} of ${name}`).toBeCloseTo(double[metric]!, 12);
      }
    }
  });

  it('of 40 images as near as the target the lower 19 count before it, one farther away does not', () => {
    const x = tensor(Float32Array.from([0, ...Array.from({ length: 41 }, () => 1), 2]), { shape: [43, 1] });
    const labels = Int32Array.from({ length: 43 }, (_, i) => (i === 0 || i === 20 ? 1 : 2 + i));
    const [map] = meanAveragePrecision(
      x.narrow(0, 0, 1),
      labels.subarray(0, 1),
      Int32Array.of(1),
      [Infinity],
      {
        gallery: { embeddings: x.narrow(0, 1, 42), labels: labels.subarray(1) },
      },
    );
    expect(map).toBeCloseTo(1 / 20, 14);
  });
});
