import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cat, Generator, liveTensors, manualSeed, randn, scope, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { adjustedMutualInformation } from './ami.js';
import { countRelevant } from './count-relevant.js';
import { type EvaluateOptions, evaluateEmbeddings } from './evaluate.js';
import { mapAtR } from './map-at-r.js';
import { marp } from './marp.js';
import type { Hits, SearchMetric } from './metric.js';
import { normalizedMutualInformation } from './nmi.js';
import { recall } from './recall.js';

const peers: { a: number[]; b: number[]; value: number; adjusted: number }[] = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../test/fixtures/peers.json', import.meta.url)), 'utf8'),
).nmi;

describe('normalizedMutualInformation', () => {
  it('equals scikit-learn with the arithmetic mean', () => {
    for (const { a, b, value } of peers) {
      expect(normalizedMutualInformation(Int32Array.from(a), Int32Array.from(b))).toBeCloseTo(value, 12);
      expect(normalizedMutualInformation(Int32Array.from(b), Int32Array.from(a))).toBeCloseTo(value, 12);
    }
  });

  it('is 1 for the same partition under other names', () => {
    expect(normalizedMutualInformation(Int32Array.of(0, 0, 1, 2), Int32Array.of(7, 7, 3, 5))).toBeCloseTo(
      1,
      14,
    );
  });
});

describe('adjustedMutualInformation', () => {
  it('equals scikit-learn with the arithmetic mean', () => {
    for (const { a, b, adjusted } of peers)
      expect(adjustedMutualInformation(Int32Array.from(a), Int32Array.from(b))).toBeCloseTo(adjusted, 10);
  });

  it('is 0 by chance, where NMI is far from it', () => {
    const random = new Random(2);
    const draw = () => Int32Array.from({ length: 2000 }, () => random.int(400));
    const [a, b] = [draw(), draw()];
    expect(normalizedMutualInformation(a, b)).toBeGreaterThan(0.7);
    expect(Math.abs(adjustedMutualInformation(a, b))).toBeLessThan(0.02);
  });

  it('says nothing of images that are a class each', () => {
    const own = Int32Array.from({ length: 20 }, (_, at) => at);
    const classes = own.map((at) => at % 4);
    expect(normalizedMutualInformation(classes, own)).toBeCloseTo(0.633, 3);
    expect(adjustedMutualInformation(classes, own)).toBeCloseTo(0, 10);
    expect(adjustedMutualInformation(own, own)).toBe(1);
  });
});

it('NMI of 400 classes of 5 that lie in heaps is that of the heaps', () => {
  const generator = new Generator(5);
  using centres = randn([400, 32], { generator });
  using spread = randn([2000, 32], { generator });
  const labels = Int32Array.from({ length: 2000 }, (_, at) => at % 400);
  using rows = scope(() => centres.repeat([5, 1]).add(spread.mul(0.2)));
  const { NMI, AMI } = evaluateEmbeddings(rows, labels, { metrics: ['NMI', 'AMI'] });
  expect(NMI).toBeGreaterThan(0.94);
  expect(AMI).toBeGreaterThan(0.8);
});

describe('recall and average precision', () => {
  const gallery = Int32Array.of(0, 1, 0, 1, 1);
  // Two queries of class 0 and 1, all five gallery images in order: 1 0 3 4 2 and 3 0 1 2 4.
  const queries = Int32Array.of(0, 1);
  const found: Hits[] = [
    { ranks: [2, 5], relevant: 2, size: 5 },
    { ranks: [1, 3, 5], relevant: 3, size: 5 },
  ];
  const mean = (metric: SearchMetric, at: number[] = []) =>
    found.reduce((sum, hits) => sum + metric.measure(hits, at)[0]!, 0) / found.length;

  it('counts a query as found if any of the first k is of its class', () => {
    expect([1, 2, 100].map((k) => mean(recall, [k]))).toEqual([0.5, 1, 1]);
  });

  it('divides by R or by the hits', () => {
    expect([...countRelevant(queries, gallery)]).toEqual([2, 3]);
    // Query 0: hits among the first 2: rank 2. Query 1: hits among the first 3: ranks 1 and 3.
    const first = 1 / 2;
    const second = 1 + 2 / 3;
    expect(mean(mapAtR)).toBeCloseTo((first / 2 + second / 3) / 2, 14);
    expect(mean(marp)).toBeCloseTo((first / 1 + second / 2) / 2, 14);
  });

  it('does not count the query itself as relevant', () => {
    expect([...countRelevant(Int32Array.of(5, 5, 6), null)]).toEqual([1, 1, 0]);
  });
});

describe('evaluateEmbeddings', () => {
  it('gives perfect scores to classes far apart, and the names in order', () => {
    const labels = Int32Array.from({ length: 40 }, (_, i) => i % 8);
    const embeddings = tensor(Array.from(labels, (label) => [10 * label, label % 2]));
    const metrics = evaluateEmbeddings(embeddings, labels, { recallAt: [1, 10], nmi: { seeds: [1, 2] } });
    expect(Object.keys(metrics)).toEqual(['R@1', 'R@1 SE', 'R@10', 'MAP@R', 'mARP', 'NMI', 'NMI std']);
    expect(metrics).toMatchObject({ 'R@1': 1, 'R@10': 1 });
    expect(metrics['MAP@R']).toBeCloseTo(1, 12);
    expect(metrics.NMI).toBeCloseTo(1, 12);
    expect(metrics['NMI std']).toBeCloseTo(0, 12);
  });

  it('looks as deep as the largest class, whatever the k of recall, in blocks as in one', () => {
    manualSeed(1);
    const random = new Random(1);
    const labels = Int32Array.from({ length: 200 }, () => (random.next() < 0.5 ? 0 : 1 + random.int(20)));
    const embeddings = randn([200, 3], { dtype: 'float64' });
    const whole = evaluateEmbeddings(embeddings, labels, { recallAt: [1], nmi: false });
    const blocks = evaluateEmbeddings(embeddings, labels, { recallAt: [1], nmi: false, blockSize: 7 });
    for (const [name, value] of Object.entries(whole)) expect(blocks[name]).toBeCloseTo(value, 12);
    const deep = evaluateEmbeddings(embeddings, labels, { recallAt: [199], nmi: false });
    expect(deep['MAP@R']).toBeCloseTo(whole['MAP@R'] as number, 12);
  });

  it('counts the only image of a class as a miss', () => {
    const embeddings = tensor([[0], [0.1], [5]]);
    const metrics = evaluateEmbeddings(embeddings, Int32Array.of(0, 0, 1), { recallAt: [1], nmi: false });
    expect(metrics['R@1']).toBeCloseTo(2 / 3, 12);
    expect(metrics['MAP@R']).toBeCloseTo(2 / 3, 12);
    expect(metrics.mARP).toBeCloseTo(2 / 3, 12);
  });

  it('searches a gallery, which then may hold the query image itself', () => {
    const embeddings = tensor([[0], [4]]);
    const gallery = { embeddings: tensor([[4], [1], [0]]), labels: Int32Array.of(0, 0, 1) };
    const metrics = evaluateEmbeddings(embeddings, Int32Array.of(0, 0), { recallAt: [1, 2], gallery });
    expect(metrics).toMatchObject({ 'R@1': 0.5, 'R@2': 1 });
  });

  it('takes names of classes for their numbers, of queries and gallery alike', () => {
    using embeddings = tensor([[0], [1], [4]]);
    using others = tensor([[0.75], [0.25], [5]]);
    const options = { recallAt: [1, 2], nmi: { seeds: [0] } };
    const named = { embeddings: others, labels: ['cat', 'dog', 'cat'] };
    const numbered = { embeddings: others, labels: [1, 0, 1] };
    expect(evaluateEmbeddings(embeddings, ['dog', 'cat', 'dog'], { ...options, gallery: named })).toEqual(
      evaluateEmbeddings(embeddings, [0, 1, 0], { ...options, gallery: numbered }),
    );
    expect(() => evaluateEmbeddings(embeddings, [0, 1, 0], { ...options, gallery: named })).toThrow(
      /labels of queries and gallery both as numbers or both as names/,
    );
  });

  it('by cosine, compares directions alone', () => {
    // Of one direction are those of a class; the short ones stand nearer to each other.
    const rows = [
      [1, 0],
      [9, 0.1],
      [0, 1],
      [0.1, 9],
    ];
    const labels = ['right', 'right', 'up', 'up'];
    const options = { recallAt: [1], nmi: { seeds: [0] } };
    expect(evaluateEmbeddings(rows, labels, { ...options, metric: 'cosine' })).toMatchObject({
      'R@1': 1,
      NMI: 1,
    });
    expect(evaluateEmbeddings(rows, labels, options)['R@1']).toBe(0.5);
    const ofLengthOne = rows.map((row) => row.map((value) => value / Math.hypot(...row)));
    const gallery = { embeddings: rows.slice(1), labels: labels.slice(1) };
    expect(evaluateEmbeddings(rows, labels, { ...options, metric: 'cosine', gallery })['MAP@R']).toBeCloseTo(
      evaluateEmbeddings(ofLengthOne, labels, {
        ...options,
        gallery: { ...gallery, embeddings: ofLengthOne.slice(1) },
      })['MAP@R'] ?? Number.NaN,
      6,
    );
    expect(() => evaluateEmbeddings([[1], [0]], [0, 0], { metric: 'cosine' })).toThrow(
      /queries by cosine: row 2 is zero/,
    );
    expect(() => evaluateEmbeddings([[1], [2]], [0, 0], { metric: 'dot' as never })).toThrow(
      /expected the metric euclidean, cosine or hyperbolic, got dot/,
    );
  });

  it('leaves queries out of their own searches: a gallery of the queries themselves gives what none gives', () => {
    manualSeed(7);
    const random = new Random(7);
    using embeddings = randn([40, 3]);
    const labels = Int32Array.from({ length: 40 }, (_, i) => i % 7);
    const order = random.permutation(40);
    using shuffled = scope(() => embeddings.indexSelect(0, tensor(order, { dtype: 'int64' }))).keep();
    const gallery = { embeddings: shuffled, labels: order.map((row) => labels[row] as number) };
    const own = new Map([...order].map((row, position) => [row, [position]] as const));
    const measure = (among?: EvaluateOptions['gallery'], blockSize?: number) =>
      evaluateEmbeddings(embeddings, labels, {
        recallAt: [1, 2, 39, 100],
        extended: true,
        ...(among && { gallery: among }),
        ...(blockSize && { blockSize }),
      });
    const searches = [
      'R@1',
      'R@2',
      'R@39',
      'R@100',
      'MAP@R',
      'mARP',
      'MAP@1000',
      'MAP',
      'NMI',
      'F1',
      'rho',
      'intra',
    ];
    const wanted = measure();
    for (const blockSize of [undefined, 7]) {
      const found = measure({ ...gallery, own }, blockSize);
      for (const name of searches) expect(found[name]).toBeCloseTo(wanted[name] as number, 12);
    }
    expect(measure(gallery)['R@1']).toBe(1);
    // Own images of another class, and several, are left out too.
    const twice = {
      embeddings: cat([shuffled, embeddings]),
      labels: Int32Array.from([...gallery.labels, ...labels.map(() => 9)]),
    };
    const both = new Map([...own].map(([row, places]) => [row, [...places, 40 + row]] as const));
    const more = measure({ ...twice, own: both });
    const others = measure({ ...twice, own });
    expect(more['R@1']).toBeGreaterThan(others['R@1'] as number);
    expect(others['R@1']).toBe(0);
    expect(more.MAP).toBeGreaterThan(others.MAP as number);
    twice.embeddings.dispose();
  });

  it('measures more when asked, with a gallery too', () => {
    manualSeed(5);
    const x = randn([60, 4]);
    const labels = Int32Array.from({ length: 60 }, (_, i) => i % 7);
    const options = { recallAt: [1], nmi: { seeds: [1, 2] } };
    const plain = evaluateEmbeddings(x, labels, options);
    const more = evaluateEmbeddings(x, labels, { ...options, extended: true });
    expect(more).toMatchObject(plain);
    expect(Object.keys(more).filter((name) => !(name in plain))).toEqual([
      'MAP@1000',
      'MAP',
      'mINP',
      'AMI',
      'AMI std',
      'k-means',
      'k-means std',
      'F1',
      'F1 std',
      'rho',
      'intra',
      'inter',
    ]);
    expect(Object.values(more).every(Number.isFinite)).toBe(true);
    const gallery = { embeddings: x.narrow(0, 20, 40), labels: labels.subarray(20) };
    const searched = evaluateEmbeddings(x.narrow(0, 0, 20), labels.subarray(0, 20), {
      ...options,
      gallery,
      extended: true,
    });
    // The measures without a search take all images together.
    for (const name of ['rho', 'intra', 'inter', 'F1'])
      expect(searched[name]).toBeCloseTo(more[name] as number, 6);
    expect(searched.MAP).not.toBeCloseTo(more.MAP as number, 4);
  });

  it('says how far searching and clustering are, to the end of both', () => {
    const labels = Int32Array.from({ length: 60 }, (_, i) => i % 12);
    const [searched, rounds]: [number[], number[]] = [[], []];
    using embeddings = randn([60, 4], { generator: new Generator(1) });
    evaluateEmbeddings(embeddings, labels, {
      blockSize: 20,
      nmi: { seeds: [0, 1], maxIterations: 50 },
      onProgress: ({ done, total }) => searched.push(done / total),
      onClustering: ({ done, total }) => {
        expect(total).toBe(100);
        rounds.push(done);
      },
    });
    expect(searched.at(-1)).toBe(1);
    expect(rounds[0]).toBe(0);
    expect(rounds.slice(1, 3)).toEqual([1, 2]);
    const second = rounds.indexOf(50);
    expect(rounds.slice(second, second + 3)).toEqual([50, 51, 52]);
    expect(rounds.at(-1)).toBe(100);
    expect(rounds).toEqual(rounds.toSorted((a, b) => a - b));
  });

  it('keeps no tensor and refuses embeddings that are not finite', () => {
    const x = randn([30, 3]);
    const labels = Int32Array.from({ length: 30 }, (_, i) => i % 5);
    const before = liveTensors();
    evaluateEmbeddings(x, labels, { recallAt: [1], extended: true });
    expect(liveTensors()).toBe(before);
    const broken = () => evaluateEmbeddings(tensor([[NaN], [1]]), Int32Array.of(0, 0), { recallAt: [1] });
    expect(broken).toThrow(/1 numbers in the embeddings of the queries are NaN/);
    expect(() => evaluateEmbeddings(x, Int32Array.of(0), { recallAt: [1] })).toThrow(/1 labels/);
  });
});
