import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, liveTensors, nn, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { NPairsLoss } from '../../losses/npairs.js';
import { TrainingOptimizer } from '../../optimize/training-optimizer.js';
import { TrainingStep } from '../../train/step.js';
import { SmallResNet } from '../backbones/small-resnet.js';
import { EmbeddingModel, type EmbeddingModelOptions } from '../embedding-model.js';
import { GeMPooling } from './gem.js';
import { heads, type NamedHead } from './heads.js';
import { BatchNormOfRows } from './neck.js';

const modelOf = (head: NamedHead, options: EmbeddingModelOptions = {}, seed = 1) => {
  const generator = new Generator(seed);
  const backbone = new SmallResNet({ widths: [4, 8], generator });
  const masks = { numLearners: 2 };
  return new EmbeddingModel(backbone, { embeddingDim: 6, dropout: 0, generator, masks, head, ...options });
};

const kinds: [string, NamedHead][] = [
  ...heads.map(({ name }): [string, NamedHead] => [name, { name }]),
  ['linear behind LayerNorm', { name: 'linear', neck: 'layer-norm' }],
  ['linear behind BatchNorm', { name: 'linear', neck: 'batch-norm' }],
  ['mlp behind BatchNorm', { name: 'mlp', hidden: [5, 7], neck: 'batch-norm', hiddenNorm: false }],
];

describe.each(kinds)('the head %s', (_, head) => {
  it('gives rows of length 1, whole and of each learner, and leaves no tensor behind', () => {
    using model = modelOf(head);
    using images = randn([5, 3, 16, 16], { generator: new Generator(2) });
    const before = liveTensors();
    for (const learner of [null, 0, 1]) {
      using rows = model.embed(images, { learner });
      expect(rows.shape).toEqual([5, 6]);
      expect(liveTensors()).toBe(before + 1);
      using lengths = rows.norm(2, 1);
      for (const length of lengths.toNumbers()) expect(length).toBeCloseTo(1, 5);
    }
  });

  it('learns all of its parameters, with a mask and with fixed ones that are disjoint', () => {
    for (const kind of ['learned', 'fixed'] as const) {
      using model = modelOf(head, { masks: { numLearners: 2, kind }, pooling: 'gem' });
      const loss = new NPairsLoss();
      using optimizer = new TrainingOptimizer(model, loss, { learningRate: 0.01 });
      const step = new TrainingStep({ model, loss, miner: null, optimizer, maskLambda: 0.01 });
      using images = randn([8, 3, 16, 16], { generator: new Generator(2) });
      const { embedding } = model.parameterGroups();
      const before = embedding.map((parameter) => parameter.toNumbers());
      for (const learner of [0, 1, 0, 1])
        step.run({ images, labels: Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3), learner, fullEmbedding: false });
      const moved = embedding.map((parameter, i) =>
        parameter.toNumbers().some((value, place) => value !== before[i]![place]),
      );
      expect(moved).toEqual(embedding.map(() => true));
    }
  });

  it('is in the state dict, apart from the backbone, and gives the same rows from there', () => {
    using model = modelOf(head);
    using other = modelOf(head, {}, 3);
    using images = randn([4, 3, 16, 16], { generator: new Generator(2) });
    const own = new Set(model.backbone.stateDict().keys());
    const names = [...model.stateDict().keys()].filter((name) => !own.has(name));
    for (const name of names) expect(name).toMatch(/^(embedding\.|head_|masks\.)/);
    using trained = model.embed(images); // moves what BatchNorm has seen
    other.loadStateDict(model.stateDict());
    using a = model.eval().embed(images);
    using b = other.eval().embed(images);
    expect(b.tolist()).toEqual(a.tolist());
    expect(trained.shape).toEqual(a.shape);
  });
});

it('the identity of the embedding makes it the features, in shares too', () => {
  using model = modelOf({ name: 'linear' }, { embeddingDim: 8, embeddingInit: { kind: 'identity' } });
  using split = modelOf(
    { name: 'linear' },
    { embeddingDim: 8, embeddingInit: { kind: 'identity', learners: 2 } },
  );
  using images = randn([3, 3, 16, 16], { generator: new Generator(2) });
  for (const each of [model, split]) {
    using features = each.eval().features(images);
    using rows = each.embed(images);
    expect(rows.sub(features).abs().max().item()).toBeLessThan(1e-6);
  }
});

it('the BatchNorm of BNNeck keeps its bias at 0, and the embedding lies about the origin', () => {
  using model = modelOf({ name: 'bnneck' });
  const bias = model.stateDict().get('head_bn.bias')!;
  expect(model.parameterGroups().embedding).not.toContain(bias);
  scope(() => {
    const rows = model.head.forward(randn([64, 8], { generator: new Generator(4) }).add(3));
    for (const mean of rows.mean(0).toNumbers()) expect(Math.abs(mean)).toBeLessThan(1e-5);
    rows.square().sum().backward();
  });
  expect(bias.grad).toBe(null);
});

describeWithPython('necks and pooling against PyTorch', ['torch', 'numpy'], () => {
  it('BatchNorm of rows, and the generalised mean with its gradients, give the same numbers', () => {
    scope(() => {
      const generator = new Generator(5);
      const dtype = 'float64';
      const rows = randn([6, 4], { generator, dtype });
      const maps = randn([3, 4, 5, 2], { generator, dtype });
      const expected = runPython<Record<string, Tensor>>(
        `
          import torch
          norm = torch.nn.BatchNorm1d(4).double()
          normalized = norm(input['rows'])
          maps = input['maps'].requires_grad_()
          p = torch.nn.Parameter(torch.full((1,), 2.5, dtype=torch.float64))
          pooled = torch.nn.functional.avg_pool2d(maps.clamp(min=1e-6).pow(p), maps.shape[2:]).pow(1 / p).flatten(1)
          pooled.square().sum().backward()
          output = {'normalized': normalized, 'mean': norm.running_mean, 'var': norm.running_var,
                    'pooled': pooled, 'maps': maps.grad, 'p': p.grad}
        `,
        { rows, maps },
      );
      const norm = new BatchNormOfRows(4, { dtype });
      const normalized = norm.forward(rows);
      const gem = new GeMPooling(2.5).to({ dtype });
      maps.requiresGrad_();
      const pooled = gem.forward(maps);
      pooled.square().sum().backward();
      const got = {
        normalized,
        mean: norm.runningMean,
        var: norm.runningVar,
        pooled,
        maps: maps.grad!,
        p: gem.p.grad!,
      };
      for (const [name, value] of Object.entries(got))
        expect(value.sub(expected[name]!).abs().max().item(), name).toBeLessThan(1e-12);
    });
  });
});

it('the generalised mean lies between the average and the maximum, of maps and of tokens alike', () => {
  scope(() => {
    const maps = randn([2, 3, 4, 4], { generator: new Generator(6) }).abs();
    const tokens = maps.flatten(2).transpose(1, 2);
    const [average, largest] = [maps.mean([2, 3]), maps.amax([2, 3])];
    const at = (power: number, features: Tensor) => noGrad(() => new GeMPooling(power).forward(features));
    expect(at(1, maps).sub(average).abs().max().item()).toBeLessThan(1e-6);
    expect(at(80, maps).sub(largest).abs().max().item()).toBeLessThan(0.1);
    expect(at(3, tokens).sub(at(3, maps)).abs().max().item()).toBeLessThan(1e-6);
    expect(at(3, maps).ge(average.sub(1e-6)).sum().item()).toBe(6);
  });
});

it('a head of one’s own stands in the place of a name', () => {
  const built: number[] = [];
  using model = new EmbeddingModel(new SmallResNet({ widths: [4] }), {
    embeddingDim: 6,
    head: (shape) => {
      built.push(shape.featureSize, shape.embeddingDim);
      return heads[0].build({ neck: 'none' }, null)(shape);
    },
  });
  expect(built).toEqual([4, 6]);
  expect(model.embedding).toBeInstanceOf(nn.Linear);
});
