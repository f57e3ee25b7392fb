import { UserError } from '@conquer-dml/run';
import { cat, Generator, liveTensors, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import type { Batch } from '../data/loader.js';
import { createModel } from '../models/create-model.js';
import { evaluateModel } from './evaluate-model.js';

it('measures without the images that others stand in for', async () => {
  const before = liveTensors();
  const generator = new Generator(1);
  const model = createModel({ name: 'small-resnet', widths: [4, 8] }, { embeddingDim: 6, generator });
  using images = randn([9, 3, 16, 16], { generator });
  // Rows of images; the split has them in order, except where a loader had to take another.
  const dataOf = (rows: number[], bad: Record<number, number> = {}) => {
    const labels = Int32Array.from(rows, (row) => row % 3);
    const read = rows.map((row, place) => bad[place] ?? row);
    async function* plain(): AsyncGenerator<Batch> {
      for (let start = 0; start < rows.length; start += 4) {
        const some = read.slice(start, start + 4);
        const pixels = some.map((row) => images.narrow(0, row, 1));
        const batch = scope(() => cat(pixels)).keep();
        for (const row of pixels) row.dispose();
        const indices = Int32Array.from(some, (row) => rows.indexOf(row));
        yield { images: batch, labels: indices.map((at) => labels[at]!), indices };
      }
    }
    return { testLabels: labels, galleryLabels: labels, plain };
  };
  const options = { recallAt: [1, 2] };
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  // Image 5 is read as its like 2: as both a query and in the gallery it would find itself.
  const replaced = await evaluateModel(model, dataOf(all, { 5: 2 }), options);
  const without = await evaluateModel(model, dataOf(all.filter((row) => row !== 5)), options);
  expect(replaced.metrics).toEqual(without.metrics);
  const { queries, gallery } = replaced;
  for (const split of [queries, gallery]) {
    expect(split?.embeddings.shape).toEqual([8, 6]);
    expect([...(split?.positions ?? [])]).toEqual([0, 1, 2, 3, 4, 6, 7, 8]);
    expect([...(split?.labels ?? [])]).toEqual([0, 1, 2, 0, 1, 0, 1, 2]);
    expect(split?.total).toBe(9);
  }
  // Where each query is its own file in the gallery, the same as without a gallery, of those that could be read too.
  const own = new Map(all.map((at) => [at, [at]] as const));
  for (const bad of [{}, { 5: 2 }] as Record<number, number>[]) {
    const { galleryLabels: _, ...alone } = dataOf(all, bad);
    const itself = await evaluateModel(model, { ...dataOf(all, bad), ownInGallery: own }, options);
    const among = await evaluateModel(model, alone, options);
    for (const name of ['R@1', 'R@2', 'MAP@R', 'mARP'])
      expect(itself.metrics[name]).toBeCloseTo(among.metrics[name] as number, 12);
    itself.dispose();
    among.dispose();
  }
  // One query and one image to find are of one class: no word of a collapse.
  const one = await evaluateModel(model, dataOf([0]), options);
  expect(one.collapsed).toBe(false);
  one.dispose();
  const whole = await evaluateModel(model, dataOf(all), options);
  expect(whole.metrics).not.toEqual(without.metrics);
  for (const { dispose } of [replaced, without, whole]) dispose();
  model.dispose();
  images.dispose();
  expect(liveTensors()).toBe(before);
});

it('leaves near-duplicates out of a search, among queries and in a gallery', async () => {
  const generator = new Generator(2);
  using model = createModel({ name: 'small-resnet', widths: [4, 8] }, { embeddingDim: 6, generator });
  using images = randn([12, 3, 16, 16], { generator });
  const testLabels = Int32Array.from({ length: 12 }, (_, at) => at % 3);
  // The last class has two images, which are near-duplicates: its queries can find nothing.
  testLabels.set([0, 1], 5);
  testLabels.set([0, 1], 8);
  async function* plain(): AsyncGenerator<Batch> {
    yield {
      images: scope(() => images.clone()).keep(),
      labels: testLabels,
      indices: Int32Array.from(testLabels.keys()),
    };
  }
  const pairs = [
    [0, 3],
    [0, 6],
    [2, 11],
    [4, 7],
    [4, 9],
  ] as const;
  const nearDuplicates = new Map(
    [...testLabels.keys()].map((at) => [
      at,
      pairs.flatMap(([a, b]) => (a === at ? [b] : b === at ? [a] : [])),
    ]),
  );
  const among = await evaluateModel(model, { testLabels, plain }, { recallAt: [1, 3], nearDuplicates });
  const rows = among.queries.embeddings.tolist() as number[][];
  const found = [...testLabels.keys()].flatMap((query) => {
    const left = [query, ...nearDuplicates.get(query)!];
    const others = [...testLabels.keys()].filter((at) => !left.includes(at));
    const distance = (at: number) => rows[at]!.reduce((sum, x, d) => sum + (x - rows[query]![d]!) ** 2, 0);
    const hits = others
      .sort((a, b) => distance(a) - distance(b))
      .map((at) => testLabels[at] === testLabels[query]);
    const relevant = hits.filter(Boolean).length;
    if (relevant === 0) return [];
    let right = 0;
    const precisions = hits.slice(0, relevant).map((hit, at) => (hit ? ++right / (at + 1) : 0));
    return [{ first: Number(hits[0]), precision: precisions.reduce((a, b) => a + b, 0) / relevant }];
  });
  expect(found).toHaveLength(10);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(among.metrics['R@1']).toBeCloseTo(mean(found.map(({ first }) => first)), 12);
  expect(among.metrics['MAP@R']).toBeCloseTo(mean(found.map(({ precision }) => precision)), 6);
  const all = await evaluateModel(model, { testLabels, plain }, { recallAt: [1, 3] });
  expect(all.metrics['MAP@R']).not.toBeCloseTo(among.metrics['MAP@R']!, 3);
  expect(all.metrics.NMI).toBe(among.metrics.NMI);
  // The same where the queries stand in a gallery too.
  const ownInGallery = new Map([...testLabels.keys()].map((at) => [at, [at]] as const));
  const data = { testLabels, galleryLabels: testLabels, ownInGallery, plain };
  const within = await evaluateModel(model, data, { recallAt: [1, 3], nearDuplicates });
  expect(within.metrics['MAP@R']).toBeCloseTo(among.metrics['MAP@R']!, 12);
  expect(within.metrics['R@3']).toBe(among.metrics['R@3']);
  for (const { dispose } of [among, all, within]) dispose();
  const reranked = evaluateModel(model, { testLabels, plain }, { nearDuplicates, rerank: {} });
  await expect(reranked).rejects.toThrow(/^near-duplicates are left out of searches .*: expected neither/);
});

it('stops where embeddings are not finite, in one line that names the images', async () => {
  using model = createModel({ name: 'small-resnet', widths: [4, 8] }, { embeddingDim: 6 });
  const labels = Int32Array.of(0, 0, 1, 1);
  // In the second batch the activations overflow: 3e38 times the weights.
  async function* plain(split: string): AsyncGenerator<Batch> {
    for (const [start, scale] of [
      [0, 1],
      [2, split === 'gallery' ? 3e38 : 1],
    ] as const) {
      const indices = Int32Array.of(start, start + 1);
      using plainly = randn([2, 3, 16, 16]);
      const images = plainly.mul(scale);
      using sound = images.narrow(0, 0, 1);
      sound.fill_(0.5);
      yield { images, labels: indices.map((at) => labels[at]!), indices };
    }
  }
  const before = liveTensors();
  const evaluation = evaluateModel(
    model,
    { testLabels: labels, galleryLabels: labels, plain },
    { recallAt: [1] },
  );
  await expect(evaluation).rejects.toThrow(
    /^the embeddings of 1 of 4 images are NaN or infinite \(gallery image 4\): the weights are damaged, or/,
  );
  await expect(evaluation).rejects.toThrow(UserError);
  expect(liveTensors()).toBe(before);
});
