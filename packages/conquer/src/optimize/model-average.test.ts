import { Generator, liveTensors, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { ModelAverage } from './model-average.js';

const modelOf = (seed = 1) => {
  const generator = new Generator(seed);
  return new EmbeddingModel(new SmallResNet({ widths: [4], generator }), {
    embeddingDim: 6,
    generator,
    masks: { numLearners: 2 },
  });
};

/** The largest gap between an average and the model, as a share of the model's largest number. */
const gap = (average: ModelAverage, model: EmbeddingModel) => {
  const averages = average.stateDict();
  const floats = [...model.stateDict()].filter(([, tensor]) => tensor.dtype.includes('float'));
  return Math.max(
    ...floats.map(([name, tensor]) => {
      const largest = Math.max(tensor.abs().max().item(), 1e-9);
      return averages.get(name)!.sub(tensor).abs().max().item() / largest;
    }),
  );
};

const change = (model: EmbeddingModel, seed: number) =>
  noGrad(() =>
    scope(() => {
      const generator = new Generator(seed);
      for (const tensor of model.stateDict().values())
        if (tensor.dtype.includes('float')) tensor.copy_(randn(tensor.shape, { generator }));
    }),
  );

it('has forgotten the start after 1,000 steps of constant weights, without being told to warm up', () => {
  using model = modelOf();
  using average = new ModelAverage(model, { decay: 0.9999 });
  change(model, 2);
  for (let step = 0; step < 1000; step++) average.update();
  expect(average.state()).toEqual({ steps: 1000 });
  expect(gap(average, model)).toBeLessThan(0.01);
  using cold = new ModelAverage(model, { decay: 0.9999, warmup: false });
  change(model, 3);
  for (let step = 0; step < 1000; step++) cold.update();
  expect(gap(cold, model)).toBeGreaterThan(0.5);
});

it('is the mean that its definition says, of weights and statistics, and copies what is counted', () => {
  using model = modelOf();
  const options = { decay: 0.6 };
  using average = new ModelAverage(model, options);
  const wanted = new Map([...model.stateDict()].map(([name, tensor]) => [name, tensor.detach().clone()]));
  for (let step = 1; step <= 5; step++) {
    change(model, step);
    model.backbone.stateDict().get('bn1.num_batches_tracked')!.fill_(step);
    average.update();
    const decay = Math.min(0.6, 1 - step ** (-2 / 3));
    expect(average.decayAt(step)).toBe(decay);
    for (const [name, now] of model.stateDict()) {
      const before = wanted.get(name)!;
      const isFloat = now.dtype.includes('float');
      wanted.set(name, isFloat ? before.mul(decay).add(now.detach().mul(1 - decay)) : now.clone());
    }
  }
  for (const [name, tensor] of average.stateDict())
    expect(tensor.sub(wanted.get(name)!).abs().max().item(), name).toBeLessThan(1e-6);
  expect(average.stateDict().get('bn1.num_batches_tracked')!.item()).toBe(5);
});

it('is the model while something runs, and afterwards the weights are the same to the bit', async () => {
  using model = modelOf();
  using average = new ModelAverage(model, { decay: 0.9 });
  for (const seed of [2, 3, 4]) {
    change(model, seed);
    average.update();
  }
  const numbers = (state: ReadonlyMap<string, Tensor>) => [...state].map(([name, t]) => [name, t.tolist()]);
  const [own, averaged] = [numbers(model.stateDict()), numbers(average.stateDict())];
  expect(own).not.toEqual(averaged);
  const before = liveTensors();
  const seen = await average.during(async () => numbers(model.stateDict()));
  expect(seen).toEqual(averaged);
  await expect(average.during(() => Promise.reject(new Error('stopped')))).rejects.toThrow('stopped');
  expect(numbers(model.stateDict())).toEqual(own);
  expect(numbers(average.stateDict())).toEqual(averaged);
  expect(liveTensors()).toBe(before);
});

it('goes on from what was saved, with its count', () => {
  using model = modelOf();
  using first = new ModelAverage(model, { decay: 0.99 });
  using second = new ModelAverage(model, { decay: 0.99 });
  for (const seed of [2, 3]) {
    change(model, seed);
    first.update();
  }
  second.load(first.stateDict(), first.state());
  change(model, 4);
  for (const average of [first, second]) average.update();
  for (const [name, tensor] of first.stateDict())
    expect(second.stateDict().get(name)!.tolist()).toEqual(tensor.tolist());
  const others = new Map(first.stateDict());
  others.delete('masks.0');
  expect(() => second.load(others, first.state())).toThrow(/average of masks\.0 is missing/);
});

it('follows doubled learners, whose averages start at their masks', () => {
  using model = modelOf();
  const alive = liveTensors();
  const average = new ModelAverage(model, { decay: 0.9 });
  change(model, 2);
  average.update();
  model.doubleLearners();
  average.follow();
  expect([...average.stateDict().keys()]).toEqual([...model.stateDict().keys()]);
  expect(average.stateDict().get('masks.3')!.tolist()).toEqual(model.masks[3]!.tolist());
  average.update();
  average.dispose();
  expect(liveTensors()).toBe(alive + 2);
});
