import { Generator, liveTensors, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { evaluateEmbeddings } from './evaluate.js';

/** A query at 0 and a gallery at 1, 2, 3, …, so that places are ranks. */
function ranked(hits: readonly number[], size: number) {
  return {
    embeddings: tensor([[0]]),
    labels: [7],
    gallery: {
      embeddings: Array.from({ length: size }, (_, at) => [at + 1]),
      labels: Array.from({ length: size }, (_, at) => (hits.includes(at + 1) ? 7 : 1000 + at)),
    },
  };
}

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
const named = ['MAP@R', 'MAP@10/R', 'MAP@10/found', 'P@10', 'P@10/k', 'P@10/R'];

describe('one ranking, three libraries', () => {
  // What pytorch-metric-learning, open-metric-learning and torchmetrics give for k = 10 of 100 images.
  const rankings: [name: string, hits: number[], wanted: number[]][] = [
    ['50 relevant, all first', upTo(50), [1, 0.2, 1, 1, 1, 0.2]],
    ['3 relevant, all first', upTo(3), [1, 1, 1, 1, 0.3, 1]],
    [
      '50 relevant, only rank 1 right',
      [1, ...upTo(49).map((at) => at + 51)],
      [0.02, 0.02, 1, 0.1, 0.1, 0.02],
    ],
    ['relevant at 5 and 51', [5, 51], [0, 0.1, 0.2, 0.5, 0.1, 0.5]],
    ['no relevant item', [], [0, 0, 0, 0, 0, 0]],
  ];
  for (const [name, hits, wanted] of rankings) {
    it(name, () => {
      const { embeddings, labels, gallery } = ranked(hits, 100);
      const found = evaluateEmbeddings(embeddings, labels, { metrics: named, gallery, nmi: false });
      expect(Object.keys(found).sort()).toEqual([...named].sort());
      for (const [i, metric] of named.entries()) expect(found[metric], metric).toBeCloseTo(wanted[i]!, 12);
    });
  }

  it('the divisors of re-identification: the last hit, the first hit, R', () => {
    const { embeddings, labels, gallery } = ranked([2, 3, 8], 20);
    const metrics = ['mINP', 'MRR', 'MAP', 'MAP@2', 'RP', 'CMC@1', 'CMC@2'];
    const found = evaluateEmbeddings(embeddings, labels, { metrics, gallery, nmi: false });
    const wanted = {
      mINP: 3 / 8,
      MRR: 1 / 2,
      MAP: (1 / 2 + 2 / 3 + 3 / 8) / 3,
      'MAP@2': 1 / 2 / 2,
      RP: 2 / 3,
      'CMC@1': 0,
      'CMC@2': 1,
    };
    for (const [name, value] of Object.entries(wanted)) expect(found[name], name).toBeCloseTo(value, 12);
  });
});

function sample(count: number, classes: number, dim = 6) {
  const random = new Random(3);
  const labels = Int32Array.from({ length: count }, () => random.int(classes));
  return { x: randn([count, dim], { generator: new Generator(4), dtype: 'float64' }), labels };
}

const searches = ['R@1', 'R@10', 'MAP@R', 'P@10', 'MAP@10/found', 'MAP', 'mINP', 'MRR'];
const measure = (
  x: Parameters<typeof evaluateEmbeddings>[0],
  labels: Parameters<typeof evaluateEmbeddings>[1],
) => evaluateEmbeddings(x, labels, { metrics: searches, nmi: false, metric: 'cosine' });

it('labels are what they are: ids of 10^12, bigints of 64 bits and names are told apart', () => {
  const { x, labels } = sample(60, 12);
  const wanted = measure(x, labels);
  const large = [...labels].map((label) => 1e12 + label);
  expect(measure(x, large)).toEqual(wanted);
  expect(measure(x, large.map(String))).toEqual(wanted);
  // Above 2^53 neighbours are one number, which only a bigint tells apart.
  expect(
    measure(
      x,
      BigInt64Array.from(labels, (label) => 2n ** 60n + BigInt(label)),
    ),
  ).toEqual(wanted);
  expect(() =>
    measure(
      x,
      [...labels].map((label) => 2 ** 60 + label),
    ),
  ).toThrow(/expected whole numbers as labels/);
  const among = { embeddings: x, labels: large };
  const gallery = evaluateEmbeddings(x, large, { gallery: among, nmi: false });
  expect(gallery['R@1']).toBe(1);
});

it('k is cut to the gallery, and every metric is within 0…1', () => {
  const { embeddings, labels, gallery } = ranked([2], 3);
  const metrics = ['all', ...searches, 'P@10/k', 'P@10/R', 'MAP@10/R', 'RP'];
  const found = evaluateEmbeddings(embeddings, labels, { metrics, gallery, recallAt: [1, 10, 1000] });
  expect(found).toMatchObject({ 'R@1': 0, 'R@10': 1, 'R@1000': 1, 'P@10': 1, 'MAP@10/found': 0.5 });
  expect(found['P@10/k']).toBeCloseTo(1 / 3, 12);
  for (const [name, value] of Object.entries(found)) {
    if (['rho', 'intra', 'inter', 'k-means', 'AMI'].includes(name)) continue;
    expect(value, name).toBeGreaterThanOrEqual(0);
    expect(value, name).toBeLessThanOrEqual(1);
  }
});

it('a class that the gallery has not is a miss, or left out, and never NaN', () => {
  const gallery = { embeddings: [[0], [1]], labels: ['a', 'b'] };
  const metrics = ['all', ...searches, 'FNMR@FMR0.1'];
  const found = evaluateEmbeddings([[0.1], [5]], ['a', 'gone'], { metrics, gallery });
  expect(found['R@1']).toBe(0.5);
  for (const [name, value] of Object.entries(found)) expect(Number.isFinite(value), name).toBe(true);
  const leftOut = { ...gallery, withoutMatch: 'left out' as const };
  const perQuery: unknown[] = [];
  const without = evaluateEmbeddings([[0.1], [5]], ['a', 'gone'], {
    gallery: leftOut,
    onQuery: (_, values) => perQuery.push(values?.['R@1'] ?? null),
  });
  expect(without['R@1']).toBe(1);
  expect(perQuery).toEqual([1, null]);
  expect(() => evaluateEmbeddings([[5]], ['gone'], { gallery: leftOut })).toThrow(
    /expected a query with an image to be found, got none/,
  );
});

it('a query whose class only its own camera saw is left out, whatever lies nearest', () => {
  const labels = ['a', 'a', 'b', 'b', 'c'];
  const embeddings = [[0], [0.3], [5], [5.2], [0.1]];
  // Of query 0 all of its class is junk, of query 1 the nearer one, which would be a hit, of query 2 nothing.
  const own = new Map([
    [0, [0, 1]],
    [1, [2]],
  ]);
  const gallery = { embeddings, labels, own, withoutMatch: 'left out' as const };
  const queries: [number[][], string[]] = [
    [[0], [5], [5]],
    ['a', 'b', 'b'],
  ];
  const perQuery: unknown[] = [];
  const metrics = [...searches, 'mARP'];
  const found = evaluateEmbeddings(...queries, {
    ...{ gallery, metrics, nmi: false },
    onQuery: (_, values) => perQuery.push(values?.MAP ?? null),
  });
  expect(perQuery).toEqual([null, 1, 1]);
  for (const name of ['R@1', 'MAP', 'MRR']) expect(found[name], name).toBe(1);
  const missed = evaluateEmbeddings(...queries, {
    gallery: { ...gallery, withoutMatch: 'miss' },
    nmi: false,
  });
  expect(missed['R@1']).toBeCloseTo(2 / 3, 12);
  const alone = () =>
    evaluateEmbeddings([[0]], ['a'], { gallery: { ...gallery, own: new Map([[0, [0, 1]]]) } });
  expect(alone).toThrow(/expected a query with an image to be found, got none/);
});

it('only the order counts, and lengths do not where directions are compared', () => {
  const { x, labels } = sample(80, 10);
  const wanted = measure(x, labels);
  const scales = tensor(
    Float64Array.from(labels, (_, row) => 0.1 + (row % 7)),
    { shape: [80, 1] },
  );
  expect(measure(x.mul(scales), labels)).toEqual(wanted);
  const plain = { metrics: searches, nmi: false } as const;
  // Moved and scaled as a whole, distances differ and their order does not.
  const moved = evaluateEmbeddings(x.mul(-3).add(10), labels, plain);
  const still = evaluateEmbeddings(x, labels, plain);
  for (const name of searches) expect(moved[name]).toBeCloseTo(still[name]!, 12);
});

it('of equally near images the lower one comes first, in every metric of a search', () => {
  const gallery = (labels: string[]) => ({ embeddings: labels.map(() => [1]), labels });
  const measureOf = (labels: string[]) =>
    evaluateEmbeddings([[0]], ['a'], { metrics: searches, gallery: gallery(labels), nmi: false });
  expect(measureOf(['b', 'a', 'b'])).toMatchObject({ 'R@1': 0, MRR: 0.5, MAP: 0.5, 'MAP@10/found': 0.5 });
  expect(measureOf(['a', 'b', 'b'])).toMatchObject({ 'R@1': 1, MRR: 1, MAP: 1, 'MAP@10/found': 1 });
});

it('a name that there is not is refused with the nearest', () => {
  const wrong =
    (...metrics: string[]) =>
    () =>
      evaluateEmbeddings([[0], [1]], [0, 0], { metrics });
  expect(wrong('mINPP')).toThrow(/unknown metric 'mINPP' \(did you mean mINP\?\): expected usual, all/);
  expect(wrong('R@0')).toThrow(/unknown metric 'R@0'/);
  expect(wrong('P@1.5')).toThrow(/unknown metric/);
  // Of shares, none and all are told of too: nothing is known by them.
  for (const name of ['FNMR@FMR', 'DIR@FAR', 'PCF@'])
    for (const share of [0, 1, 7])
      expect(wrong(`${name}${share}`)).toThrow(/unknown metric .* of a share above 0 and below 1$/);
  expect(wrong('DIR@FAR0.0')).toThrow(/unknown metric/);
});

it('re-ranked and expanded, nothing is kept, and classes far apart are found', () => {
  const labels = Int32Array.from({ length: 60 }, (_, at) => at % 5);
  const angles = [...labels].map((label, at) => label + 0.01 * Math.sin(at));
  const rows = tensor(
    angles.map((angle) => [Math.cos(angle), Math.sin(angle)]),
    { dtype: 'float64' },
  );
  const before = liveTensors();
  const options = { metrics: ['R@2', 'MAP@R', 'mINP'], nmi: false as const };
  for (const among of [false, true]) {
    const gallery = among ? { gallery: { embeddings: rows, labels } } : {};
    for (const more of [
      { rerank: {} },
      { rerank: { k1: 3, k2: 1, lambda: 0.3 } },
      ...(['queries', 'gallery', 'both', 'joint'] as const).map((what) => ({ expand: { what } })),
    ])
      expect(evaluateEmbeddings(rows, labels, { ...options, ...gallery, ...more })).toEqual({
        'R@2': 1,
        'MAP@R': 1,
        mINP: 1,
      });
  }
  expect(liveTensors()).toBe(before);
});
