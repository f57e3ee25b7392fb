import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  cudaIsAvailable,
  F,
  Generator,
  liveTensors,
  noGrad,
  randn,
  scope,
  type Tensor,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { kMeans } from '../clustering/kmeans.js';
import { augmentationFamilies, augmentationFamily } from '../data/augmentation-families.js';
import type { BatchTransform } from '../data/batch-transform.js';
import { ColorJitter } from '../data/color-jitter.js';
import { ColorMix } from '../data/color-mix.js';
import { Normalize } from '../data/normalize.js';
import { divide } from '../divide/division.js';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import { goldenFiles } from '../golden/files.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { createModel } from '../models/create-model.js';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';

const folder = fileURLToPath(new URL('../../test/fixtures/golden', import.meta.url));

// What is made of operators has to give on the card what it gives on the processor. Only where there is a card.

const device = 'cuda:0';

/** (N, D) clustered points: classes of `perClass` around random centres. */
function points(classes: number, perClass: number, dim: number, dtype: 'float32' | 'float64' = 'float32') {
  const generator = new Generator(5);
  const labels = Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass));
  const centres = randn([classes, 1, dim], { generator, dtype });
  const noise = randn([classes, perClass, dim], { generator, dtype }).mul(0.4);
  const embeddings = F.normalize(centres.add(noise).reshape([classes * perClass, dim]));
  return { labels, embeddings, there: embeddings.to({ device }) };
}

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(want.length);
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const off = Math.abs((got[i] as number) - (want[i] as number));
    worst = Math.max(worst, Number.isNaN(off) ? Infinity : off);
  }
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe.skipIf(!cudaIsAvailable())('on CUDA', () => {
  it.each(Object.keys(goldenFiles).filter((name) => existsSync(join(folder, name))))(
    'the original implementations agree in float64: %s',
    async (name) => {
      const result = await goldenFiles[name]?.(
        JSON.parse(readFileSync(join(folder, name), 'utf8')),
        { dtype: 'float64', device },
        folder,
      );
      expect(result?.failures).toEqual([]);
      expect(result?.cases).toBeGreaterThan(0);
    },
    300_000,
  );

  it('neighbours, k-means and division are those of the CPU', () => {
    const { embeddings, there, labels } = points(20, 15, 16, 'float64');
    const neighbours = nearestNeighbours(embeddings, null, 10);
    const found = nearestNeighbours(there, null, 10);
    expect(found.indices).toEqual(neighbours.indices);
    expectClose(found.distances, neighbours.distances, 1e-5);

    const clusters = (x: Tensor) => kMeans(x, 7, { random: new Random(3) });
    const [want, got] = [clusters(embeddings), clusters(there)];
    expect(got.assignments).toEqual(want.assignments);
    expect(got.objective).toBeCloseTo(want.objective, 9);
    expect(got.centroids.device).toBe(device);

    const division = (features: Tensor) =>
      divide({ features, labels, previous: null, numClusters: 4, epoch: 0, random: new Random(1) }).clusters;
    expect(division(there)).toEqual(division(embeddings));
  });

  it('float32 neighbours are within rounding, in blocks of any size', () => {
    const { embeddings, there } = points(40, 25, 32);
    const want = nearestNeighbours(embeddings, null, 5);
    for (const blockSize of [64, 1000]) {
      const { distances } = nearestNeighbours(there, null, 5, { blockSize });
      expectClose(distances, want.distances, 1e-3);
    }
  });

  it('every metric is that of the CPU', () => {
    const { embeddings, there, labels } = points(30, 8, 12, 'float64');
    const gallery = points(30, 5, 12, 'float64');
    const options = { recallAt: [1, 2, 10], extended: true };
    const alone = evaluateEmbeddings(embeddings, labels, options);
    const among = evaluateEmbeddings(embeddings, labels, { ...options, gallery });
    const got = evaluateEmbeddings(there, labels, options);
    const gotAmong = evaluateEmbeddings(there, labels, {
      ...options,
      gallery: { embeddings: gallery.there, labels: gallery.labels },
    });
    expect(Object.keys(got)).toEqual(Object.keys(alone));
    expectClose(Object.values(got), Object.values(alone), 1e-9);
    expectClose(Object.values(gotAmong), Object.values(among), 1e-9);
  });

  it('the miner draws the same tuples from the same seed', () => {
    const { embeddings, there, labels } = points(16, 4, 24, 'float64');
    const mine = (x: Tensor) =>
      new DistanceWeightedMiner({ random: new Random(2) }).mine(batchRows(x, labels));
    expect(mine(there)).toEqual(mine(embeddings));
  });

  it.each<[string, BatchTransform]>([
    ...augmentationFamilies.map((name): [string, BatchTransform] => [name, augmentationFamily(name, 32)]),
    ['colour jitter', new ColorJitter()],
    ['colour mix', new ColorMix()],
    ['normalize', new Normalize({ mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] })],
  ])('augmentation: %s', (_, transform) => {
    const images = noGrad(() => randn([8, 3, 32, 32], { generator: new Generator(4) }).sigmoid());
    const want = transform.apply(images, new Random(6));
    const got = transform.apply(images.to({ device }), new Random(6));
    expect(got.device).toBe(device);
    expectClose(got.toNumbers(), want.toNumbers(), 1e-4);
  });

  it('networks give the embeddings of the CPU, in training and folded for inference, and leave nothing', () => {
    const images = randn([4, 3, 64, 64], { generator: new Generator(2) });
    const embeddings = (where: string) => {
      using model = createModel('resnet18', {
        embeddingDim: 16,
        frozenBatchNorm: false,
        dropout: 0,
        generator: new Generator(1),
      }).to({ device: where });
      const [x, live] = [images.to({ device: where }), liveTensors()];
      const embed = () => noGrad(() => scope(() => model.embed(x).toNumbers()));
      const trained = embed();
      model.eval();
      const folded = embed();
      expect(liveTensors()).toBe(live);
      return [...trained, ...folded];
    };
    expectClose(embeddings(device), embeddings('cpu'), 2e-3);
  });
});
