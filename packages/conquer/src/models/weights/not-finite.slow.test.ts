import { noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it, vi } from 'vitest';
import { native } from '../../../../torch/src/binding.js';
import { createModel, modelNameOf } from '../create-model.js';
import type { EmbeddingModel } from '../embedding-model.js';

/** Sides of images, in pixels, at which each backbone is quick. */
const sides = {
  'small-resnet': 32,
  resnet18: 64,
  resnet50: 64,
  alexnet: 64,
  vgg11bn: 32,
  'bn-inception': 64,
};

const tensorsOf = (model: EmbeddingModel, ends: string) =>
  [...model.stateDict()].filter(([name]) => name.endsWith(ends)).map(([, tensor]) => tensor);
const firstConvolution = (model: EmbeddingModel) =>
  [...model.stateDict().values()].find(({ ndim }) => ndim === 4) as Tensor;
const lastVariance = (model: EmbeddingModel) => tensorsOf(model, 'running_var').at(-1);

/** What goes wrong in a network, and where. Each gives NaN in PyTorch. */
const faults: [string, (model: EmbeddingModel) => Tensor | undefined, number][] = [
  ['NaN in a filter', (model) => firstConvolution(model).narrow(0, 0, 1), Number.NaN],
  ['sums that overflow', firstConvolution, 3e38],
  ['NaN in a running variance', (model) => lastVariance(model)?.narrow(0, 0, 1), Number.NaN],
  ['a negative running variance', (model) => lastVariance(model)?.narrow(0, 0, 1), -1],
];

describe.each(Object.entries(sides))('%s', (arch, side) => {
  it.each(faults)('shows %s in every embedding, as in the plain layout', (_, place, value) => {
    for (const frozenBatchNorm of [true, false]) {
      using model = createModel(modelNameOf(arch), { embeddingDim: 8, frozenBatchNorm });
      const at = place(model);
      if (at === undefined) return; // it has no BatchNorm
      noGrad(() => at.fill_(value));
      using images = randn([2, 3, side, side]);
      const count = () =>
        scope(() => Array.from(model.embed(images).detach().toNumbers()).filter(Number.isNaN).length);
      for (const training of [false, true]) {
        // Where BatchNorm is trained, the batch's own statistics count.
        if (training && !frozenBatchNorm && place !== faults[0]?.[1]) continue;
        model.train(training);
        const blocked = count();
        vi.spyOn(native, 'hasBlockedLayout').mockReturnValue(false);
        const plain = count();
        vi.restoreAllMocks();
        expect([frozenBatchNorm, training, blocked, plain]).toEqual([frozenBatchNorm, training, 16, 16]);
      }
    }
  });
});
