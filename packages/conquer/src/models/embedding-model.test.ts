import { Generator, liveTensors, noGrad, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { SmallResNet } from './backbones/small-resnet.js';
import { EmbeddingModel, type EmbeddingModelOptions } from './embedding-model.js';
import type { MaskSum } from './masks.js';

function makeModel(options: EmbeddingModelOptions = {}, seed = 1): EmbeddingModel {
  const generator = new Generator(seed);
  const backbone = new SmallResNet({ widths: [4, 8], generator });
  return new EmbeddingModel(backbone, { embeddingDim: 6, dropout: 0, generator, ...options });
}

const images = randn([5, 3, 16, 16], { generator: new Generator(2) });

function evaluate(model: EmbeddingModel, compute: () => Tensor): number[] {
  model.eval();
  using result = noGrad(compute);
  return [...result.toNumbers()];
}

describe('EmbeddingModel', () => {
  it('has learners by powers of two, and refuses other numbers', () => {
    using model = makeModel();
    expect(model.setNumLearners(4)).toBe(true);
    expect(model.setNumLearners(4)).toBe(false);
    expect(model.setNumLearners(2)).toBe(true);
    for (const wrong of [0, 3, 1.5]) expect(() => model.setNumLearners(wrong)).toThrow(/power of two/);
    expect(model.numLearners).toBe(2);
  });

  it('gives features and embeddings of length 1', () => {
    using model = makeModel({ masks: { numLearners: 2 } });
    scope(() => {
      const features = model.features(images);
      const under = (masks: MaskSum) => {
        model.fullEmbeddingMasks = masks;
        return model.embed(images);
      };
      const embeddings = [
        model.embed(images),
        model.forward(images),
        model.embed(images, { learner: 1 }),
        under('sum'),
        under('sum-l1'),
      ];
      expect(features.shape).toEqual([5, 8]);
      for (const rows of [features, ...embeddings]) {
        for (const norm of rows.norm(2, 1).toNumbers()) expect(norm).toBeCloseTo(1, 5);
      }
      for (const rows of embeddings) expect(rows.shape).toEqual([5, 6]);
    });
  });

  it('names the backbone as torchvision does, beside embedding and masks', () => {
    using model = makeModel({ masks: { numLearners: 2 } });
    const names = [...model.stateDict().keys()];
    expect(names.slice(0, 2)).toEqual(['conv1.weight', 'bn1.weight']);
    expect(names).toContain('layer2.0.downsample.0.weight');
    expect(names.slice(-4)).toEqual(['embedding.weight', 'embedding.bias', 'masks.0', 'masks.1']);
  });

  it('loads what it saved', () => {
    using source = makeModel({ masks: { numLearners: 2, initialisation: 'normal' } }, 1);
    using target = makeModel({ masks: { numLearners: 2 } }, 2);
    const embed = (model: EmbeddingModel) => evaluate(model, () => model.embed(images, { learner: 1 }));
    expect(embed(target)).not.toEqual(embed(source));
    target.loadStateDict(source.stateDict());
    expect(embed(target)).toEqual(embed(source));
  });

  it("applies the learner's mask, or none", () => {
    using model = makeModel({ masks: { kind: 'fixed', numLearners: 2 } });
    const whole = evaluate(model, () => model.embed(images));
    const second = evaluate(model, () => model.embed(images, { learner: 1 }));
    for (let row = 0; row < 5; row++) {
      const wanted = whole.slice(6 * row, 6 * row + 6).map((value, d) => (d < 3 ? 0 : value));
      const norm = Math.hypot(...wanted);
      for (const [d, value] of wanted.entries()) expect(second[6 * row + d]).toBeCloseTo(value / norm, 5);
    }
    // Fixed masks cover every dimension once: their sum leaves the embedding as it is.
    model.fullEmbeddingMasks = 'sum';
    expect(evaluate(model, () => model.embed(images))).toEqual(whole);
    expect(() => model.embed(images, { learner: 2 })).toThrow(/2 learners/);
  });

  it('multiplies by the sum of the learned masks', () => {
    using model = makeModel({ fullEmbeddingMasks: 'sum' });
    noGrad(() => model.masks[0]?.copy_(tensor([1, 0, -1, 0, 0, 0])));
    const sum = evaluate(model, () => model.embed(images));
    for (const [i, value] of sum.entries()) expect(Math.abs(value)).toBeCloseTo(i % 6 === 0 ? 1 : 0, 6);
  });

  it('pools by average or maximum', () => {
    const pooled = (pooling: 'avg' | 'max') => {
      using model = makeModel({ pooling });
      model.eval();
      return noGrad(() =>
        scope(() => {
          const maps = model.backbone.features(images);
          const flat = maps.flatten(2);
          const own = pooling === 'avg' ? flat.mean(2) : flat.amax(2);
          const unit = own.div(own.norm(2, 1, true));
          return unit.sub(model.features(images)).abs().max().item();
        }),
      );
    };
    expect(pooled('avg')).toBeLessThan(1e-6);
    expect(pooled('max')).toBeLessThan(1e-6);
  });

  it('drops features in training only, as its generator says', () => {
    const features = (training: boolean, dropout: number, seed = 1) => {
      using model = makeModel({ dropout, dropoutGenerator: new Generator(seed) });
      model.train(training);
      using rows = noGrad(() => model.features(images));
      return [...rows.toNumbers()];
    };
    const zeros = (values: number[]) => values.filter((value) => value === 0).length;
    expect(features(false, 0.5)).toEqual(features(false, 0));
    expect(zeros(features(true, 0.5))).toBeGreaterThan(zeros(features(true, 0)) + 5);
    expect(features(true, 0.5)).toEqual(features(true, 0.5));
    expect(features(true, 0.5)).not.toEqual(features(true, 0.5, 2));
  });

  it('groups its parameters; fixed masks are none', () => {
    using learned = makeModel({ masks: { numLearners: 2 } });
    const { backbone, embedding, masks } = learned.parameterGroups();
    expect([embedding.length, masks.length]).toEqual([2, 2]);
    expect([...backbone, ...embedding, ...masks]).toEqual(learned.parameters());
    using fixed = makeModel({ masks: { kind: 'fixed', numLearners: 2 } });
    expect(fixed.parameterGroups().masks).toEqual([]);
  });

  it('trains backbone, embedding and the mask it used', () => {
    using model = makeModel({ masks: { numLearners: 2 } });
    scope(() => {
      model
        .embed(images, { learner: 1 })
        .mul(randn([5, 6]))
        .sum()
        .backward();
      const largest = (tensors: readonly Tensor[]) =>
        tensors.map(({ grad }) => (grad === null ? null : grad.abs().max().item()));
      const { backbone, embedding, masks } = model.parameterGroups();
      for (const value of largest([...backbone, ...embedding])) expect(value).toBeGreaterThan(0);
      expect(largest(masks)[0]).toBe(null);
      expect(largest(masks)[1]).toBeGreaterThan(0);
    });
  });

  it('frees everything but its result', () => {
    using model = makeModel({ fullEmbeddingMasks: 'sum-l1' });
    const before = liveTensors();
    const result = model.embed(images);
    expect(liveTensors()).toBe(before + 1);
    result.dispose();
  });
});
