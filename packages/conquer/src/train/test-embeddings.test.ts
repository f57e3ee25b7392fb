import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  F,
  Generator,
  liveTensors,
  noGrad,
  randn,
  readSafetensors,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { readTestedImages } from '../data/tested-images.js';
import type { MeasuredImages } from '../evaluate/evaluate-model.js';
import { createModel } from '../models/create-model.js';
import { nearestNeighbours } from '../neighbours/nearest.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { learnerMasks, surroundings, writeTestEmbeddings } from './test-embeddings.js';

const measured = (embeddings: Tensor, labels: Int32Array): MeasuredImages => ({
  embeddings,
  labels,
  positions: Int32Array.from(labels.keys()),
  total: labels.length,
});

it('keeps what it takes to look at every learner, with and without a mask over the whole', () => {
  const folder = temporaryFolder();
  const generator = new Generator(1);
  const before = liveTensors();
  const model = createModel(
    { name: 'small-resnet', widths: [4, 8] },
    { embeddingDim: 6, dropout: 0, generator, masks: { numLearners: 2, initialisation: 'normal' } },
  );
  // Negative entries are where the ReLU, and a dimension that no learner has, must show.
  scope(() =>
    noGrad(() => {
      for (const [k, mask] of model.masks.entries()) {
        mask.select(0, 1 + k).fill_(-1);
        mask.select(0, 5).fill_(-1);
      }
    }),
  );
  using images = randn([9, 3, 16, 16], { generator });
  const labels = Int32Array.from({ length: 9 }, (_, i) => i % 3);
  for (const masks of [null, 'sum', 'sum-l1'] as const) {
    const file = join(folder, `${masks}.safetensors`);
    model.fullEmbeddingMasks = masks;
    using embeddings = noGrad(() => model.embed(images));
    const queries = measured(embeddings, labels);
    const around = surroundings({ queries, gallery: null, own: new Map() }, model.numLearners);
    using effective = learnerMasks(model);
    const set = { queries, gallery: null, own: new Map() };
    writeTestEmbeddings(file, { ...set, masks: effective, around, epoch: 3 });
    const { tensors, metadata } = readSafetensors(file);
    const get = (name: string) => tensors.get(name) as Tensor;
    expect(metadata.epoch).toBe('3');
    expect(get('labels').tolist()).toEqual([...labels]);
    const { indices } = nearestNeighbours(embeddings, null, 8);
    expect([...get('neighbours').toNumbers()]).toEqual([...indices]);
    expect(new Set(get('clusters').toNumbers()).size).toBe(2);
    for (const learner of [0, 1]) {
      scope(() => {
        const wanted = noGrad(() => model.embed(images, { learner }));
        const got = F.normalize(get('embeddings').mul(get('masks').select(0, learner)));
        expect(got.sub(wanted).abs().max().item()).toBeLessThan(1e-5);
      });
    }
    for (const value of tensors.values()) value.dispose();
  }
  model.dispose();
  images.dispose();
  expect(liveTensors()).toBe(before);
});

describe('readTestedImages', () => {
  let folder: string;
  let run: RunFolder;
  beforeEach(() => {
    folder = temporaryFolder();
    run = RunFolder.create(join(folder, 'run'), { data: { onBadImage: 'skip' } });
  });

  const paths = ['a', 'b', 'c', 'd', 'e', 'f'];
  const labels = [0, 0, 0, 1, 1, 1];
  const list = { paths, labels, classNames: ['x', 'y'] };
  const never = () => Promise.reject(new Error('nobody need look at an image'));

  /** What the loop writes, of these rows of the list. */
  function write(rows: number[], galleryRows: number[] | null, own: OwnInGallery = new Map()): void {
    const before = liveTensors();
    const generator = new Generator(1);
    const model = createModel({ name: 'small-resnet', widths: [4] }, { embeddingDim: 4, generator });
    const split = (positions: number[]): MeasuredImages => ({
      embeddings: randn([positions.length, 4], { generator }),
      labels: Int32Array.from(positions, (at) => labels[at] as number),
      positions: Int32Array.from(positions),
      total: labels.length,
    });
    const found = { queries: split(rows), gallery: galleryRows && split(galleryRows), own };
    const around = surroundings(found, 2);
    const masks = learnerMasks(model);
    writeTestEmbeddings(run.embeddingsFile, { ...found, masks, around, epoch: 0 });
    masks.dispose();
    run.writeTestImages({ queries: list, gallery: galleryRows && list });
    found.queries.embeddings.dispose();
    found.gallery?.embeddings.dispose();
    model.dispose();
    expect(liveTensors()).toBe(before);
  }

  it("does not show a query's own file in the gallery as its neighbour", async () => {
    write(
      [0, 1, 3],
      [0, 2, 3, 4],
      new Map([
        [0, [0]],
        [2, [2]],
      ]),
    );
    const { neighbours, depth, gallery } = await readTestedImages(run, never);
    expect(depth).toBe(3);
    expect([...neighbours.subarray(0, 3)].sort()).toEqual([1, 2, 3]);
    expect(new Set(neighbours.subarray(3, 6)).size).toBe(3);
    expect([...neighbours.subarray(6)].sort()).toEqual([0, 1, 3]);
    expect(gallery?.paths).toEqual(['a', 'c', 'd', 'e']);
    const { tensors } = readSafetensors(run.embeddingsFile);
    expect(tensors.get('own')?.tolist()).toEqual([
      [0, 0],
      [2, 2],
    ]);
    for (const value of tensors.values()) value.dispose();
  });

  it('leaves out what was left out of the metrics, of queries and gallery', async () => {
    write([0, 2, 3, 4, 5], null);
    const among = await readTestedImages(run, never);
    expect(among.queries).toEqual({ ...list, paths: ['a', 'c', 'd', 'e', 'f'], labels: [0, 0, 1, 1, 1] });
    expect([among.depth, Math.max(...among.neighbours)]).toEqual([4, 4]);
    write([0, 2, 3, 4, 5], [0, 1, 4]);
    const { gallery, neighbours, depth } = await readTestedImages(run, never);
    expect(gallery?.paths).toEqual(['a', 'b', 'e']);
    expect([depth, Math.max(...neighbours)]).toEqual([3, 2]);
  });

  it('refuses a list of other images', async () => {
    write([0, 2, 3, 4, 5], null);
    for (const other of [
      { ...list, labels: [0, 0, 1, 1, 1, 1] },
      { ...list, paths: [...paths, 'g'], labels: [...labels, 1] },
      { ...list, paths: paths.slice(1), labels: labels.slice(1) },
    ]) {
      run.writeTestImages({ queries: other, gallery: null });
      await expect(readTestedImages(run, never)).rejects.toThrow(/lists other images than/);
    }
  });

  it('of an older file leaves out unreadable images that another stands in for', async () => {
    const rows = [
      [1, 0],
      [0.9, 0.1],
      [1, 0],
      [0, 1],
      [0, 1],
      [0.1, 0.9],
    ];
    const neighbours = [
      [2, 1],
      [0, 2],
      [0, 1],
      [4, 5],
      [3, 5],
      [3, 4],
    ];
    const tensors = new Map([
      ['embeddings', tensor(Float32Array.from(rows.flat()), { shape: [6, 2] })],
      ['labels', tensor(Int32Array.from(labels))],
      ['neighbours', tensor(Int32Array.from(neighbours.flat()), { shape: [6, 2] })],
      ['distances', tensor(new Float32Array(12), { shape: [6, 2] })],
      ['clusters', tensor(new Int32Array(6))],
    ]);
    writeSafetensors(run.embeddingsFile, tensors);
    for (const value of tensors.values()) value.dispose();
    run.writeTestImages({ queries: list, gallery: null });
    const asked: string[] = [];
    const read = await readTestedImages(run, async (path) => {
      asked.push(path);
      return path !== 'c';
    });
    expect(asked).toEqual(['a', 'c', 'd', 'e']);
    expect(read.queries.paths).toEqual(['a', 'b', 'd', 'e', 'f']);
    expect(read.embeddings).toHaveLength(10);
    expect([read.depth, ...read.neighbours]).toEqual([1, 1, 0, 3, 2, 2]);
    run.updateExperiment({ data: { onBadImage: 'fail' } });
    expect((await readTestedImages(run, never)).queries.paths).toEqual(paths);
  });
});
