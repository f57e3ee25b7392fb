import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  F,
  Generator,
  liveTensors,
  noGrad,
  randn,
  readSafetensors,
  scope,
  type Tensor,
} from '@conquer/torch';
import { expect, it } from 'vitest';
import { nearestNeighbours } from '../distances/nearest.js';
import { inOneGo } from '../distances/steps.js';
import { openModel } from '../models/open.js';
import { surroundings, writeTestEmbeddings } from './test-embeddings.js';

it('keeps what it takes to look at every learner, with and without a mask over the whole', () => {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-embeddings-'));
  const generator = new Generator(1);
  const before = liveTensors();
  const model = openModel('small-resnet', {
    smallResNet: { widths: [4, 8] },
    embeddingDim: 6,
    generator,
    masks: { numLearners: 2, initialisation: 'normal' },
  });
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
  for (const masks of [undefined, 'sum', 'sum-l1'] as const) {
    const file = join(folder, `${masks}.safetensors`);
    using queries = noGrad(() => model.embed(images, masks ? { masks } : {}));
    const around = inOneGo(surroundings({ queries, gallery: null }, model.numLearners));
    writeTestEmbeddings(file, { queries, gallery: null, labels, model, around, masks, epoch: 3 });
    const { tensors, metadata } = readSafetensors(file);
    const get = (name: string) => tensors.get(name) as Tensor;
    expect(metadata.epoch).toBe('3');
    expect(get('labels').tolist()).toEqual([...labels]);
    const { indices } = nearestNeighbours(queries, null, 8);
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
  rmSync(folder, { recursive: true });
});
