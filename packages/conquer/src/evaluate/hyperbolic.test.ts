import { Generator, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { nearestInBall } from '../neighbours/hyperboloid.js';
import { type Ball, ballDistances, toPoincareBall, usualBall } from '../neighbours/poincare.js';
import { evaluateEmbeddings } from './evaluate.js';

const CLASSES = 12;
const generator = new Generator(3);

/** Rows (N, D) around a centre for each class, of lengths from 0.05 to beyond the clip radius. */
function drawn(count: number, dim: number) {
  const labels = Int32Array.from({ length: count }, (_, row) => row % CLASSES);
  const rows = scope(() => {
    const centres = randn([CLASSES, dim], { generator: new Generator(5), dtype: 'float64' });
    const own = centres.indexSelect(0, tensor(labels, { dtype: 'int64' }));
    const lengths = randn([count, 1], { generator, dtype: 'float64' }).sigmoid().mul(3).add(0.05);
    const noisy = own.add(randn([count, dim], { generator, dtype: 'float64' }).mul(0.9));
    return noisy.div(noisy.norm(2, 1, true)).mul(lengths);
  });
  return { rows, labels };
}

/** arcosh(1 + 2c|p - q|² / ((1 - c|p|²)(1 - c|q|²))) / √c of each two points of the ball, number by number. */
function arcosh(a: Tensor, b: Tensor, c: number): Float64Array {
  const [A, N, D] = [a.size(0), b.size(0), a.size(1)];
  const [p, q] = [a.toNumbers(), b.toNumbers()];
  const distances = new Float64Array(A * N);
  for (let i = 0; i < A; i++)
    for (let j = 0; j < N; j++) {
      let [pp, qq, gap] = [0, 0, 0];
      for (let d = 0; d < D; d++) {
        const [x, y] = [p[i * D + d]!, q[j * D + d]!];
        pp += x * x;
        qq += y * y;
        gap += (x - y) ** 2;
      }
      distances[i * N + j] = Math.acosh(1 + (2 * c * gap) / ((1 - c * pp) * (1 - c * qq))) / Math.sqrt(c);
    }
  return distances;
}

/** R@1, R@4 and MAP@R by sorting all distances in the ball. */
function sorted(
  queries: ReturnType<typeof drawn>,
  gallery: ReturnType<typeof drawn>,
  ball: Ball,
  between: (a: Tensor, b: Tensor, c: number) => Float64Array = arcosh,
) {
  const isSame = queries === gallery;
  const distances = scope(() =>
    between(toPoincareBall(queries.rows, ball), toPoincareBall(gallery.rows, ball), ball.curvature),
  );
  const size = gallery.labels.length;
  const sums = { 'R@1': 0, 'R@4': 0, 'MAP@R': 0 };
  for (const [query, label] of queries.labels.entries()) {
    const places = Array.from({ length: size }, (_, at) => at).filter((at) => !isSame || at !== query);
    places.sort((a, b) => distances[query * size + a]! - distances[query * size + b]!);
    const hits = places.map((at) => gallery.labels[at] === label);
    sums['R@1'] += Number(hits[0]);
    sums['R@4'] += Number(hits.slice(0, 4).includes(true));
    const R = hits.filter(Boolean).length;
    let found = 0;
    let precision = 0;
    for (let rank = 0; rank < R; rank++) if (hits[rank]) precision += ++found / (rank + 1);
    sums['MAP@R'] += precision / R;
  }
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / queries.labels.length]));
}

const wide = { curvature: 1.5, clipRadius: null };

it.each([usualBall, wide, { curvature: 0.02, clipRadius: 1 }])(
  'searches go by the distance in the ball, among themselves and in a gallery: %o',
  (ball) => {
    const [queries, others] = [drawn(240, 8), drawn(300, 8)];
    const by = (metric: 'hyperbolic' | 'cosine', gallery?: typeof others) =>
      evaluateEmbeddings(queries.rows, queries.labels, {
        metric,
        ...(metric === 'hyperbolic' && { ball }),
        recallAt: [1, 4],
        nmi: false,
        ...(gallery && { gallery: { embeddings: gallery.rows, labels: gallery.labels } }),
      });
    for (const [gallery, expected] of [
      [undefined, sorted(queries, queries, ball)],
      [others, sorted(queries, others, ball)],
    ] as const) {
      const found = by('hyperbolic', gallery);
      for (const [name, value] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(value, 9);
      expect(found['MAP@R']).not.toBeCloseTo(by('cosine', gallery)['MAP@R']!, 3);
    }
  },
);

it('is what the losses have, in their ball', () => {
  const { rows, labels } = drawn(240, 8);
  const found = evaluateEmbeddings(rows, labels, { metric: 'hyperbolic', recallAt: [1, 4], nmi: false });
  const asLosses = (a: Tensor, b: Tensor, c: number) => Float64Array.from(ballDistances(a, b, c).toNumbers());
  const images = { rows, labels };
  for (const [name, value] of Object.entries(sorted(images, images, usualBall, asLosses)))
    expect(found[name], name).toBeCloseTo(value, 9);
});

it('ranks of the whole ranking are those of the ball too, and rows of one length those of the angle', () => {
  const { rows, labels } = drawn(120, 6);
  const all = (metric: 'hyperbolic' | 'cosine', given = rows) =>
    evaluateEmbeddings(given, labels, { metric, nmi: false, metrics: ['R@1', 'MAP@R', 'mARP'] });
  expect(all('hyperbolic').mARP).not.toBeCloseTo(all('cosine').mARP!, 3);
  using long = scope(() => rows.div(rows.norm(2, 1, true)).mul(5));
  const [ball, angle] = [all('hyperbolic', long), all('cosine', long)];
  for (const [name, value] of Object.entries(angle)) expect(ball[name], name).toBeCloseTo(value, 9);
});

it('what is no search goes by rows of length 1, and what cannot be is refused', () => {
  const { rows, labels } = drawn(60, 6);
  const spectrum = (metric: 'hyperbolic' | 'cosine') =>
    evaluateEmbeddings(rows, labels, { metric, metrics: ['NMI', 'k-means'], prefixes: [3] });
  const [inBall, byAngle] = [spectrum('hyperbolic'), spectrum('cosine')];
  expect(Object.keys(inBall)).toEqual(Object.keys(byAngle));
  for (const [name, value] of Object.entries(byAngle)) expect(inBall[name], name).toBeCloseTo(value, 12);
  const asked = (options: object) => () =>
    evaluateEmbeddings(rows, labels, { metric: 'hyperbolic', ...options });
  expect(asked({ ball: { curvature: 0, clipRadius: 1 } })).toThrow(/expected a ball of a curvature above 0/);
  expect(asked({ rerank: { k1: 5, k2: 2, lambdaValue: 0.3 } })).toThrow(/go by the angle, expected neither/);
});

it('neighbours in the ball come with their distances in it', () => {
  const [queries, gallery] = [drawn(40, 5), drawn(70, 5)];
  const { k, indices, distances } = nearestInBall(queries.rows, gallery.rows, 6, wide);
  const all = scope(() =>
    arcosh(toPoincareBall(queries.rows, wide), toPoincareBall(gallery.rows, wide), wide.curvature),
  );
  expect(k).toBe(6);
  for (let query = 0; query < 40; query++) {
    const own = all.subarray(query * 70, (query + 1) * 70);
    const nearest = Array.from(own.keys()).sort((a, b) => own[a]! - own[b]!);
    expect([...indices.subarray(query * 6, query * 6 + 6)]).toEqual(nearest.slice(0, 6));
    for (let rank = 0; rank < 6; rank++)
      expect(distances[query * 6 + rank]).toBeCloseTo(own[nearest[rank]!]!, 5);
  }
});
