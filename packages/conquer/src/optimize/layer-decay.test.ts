import { Generator, nn, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { TripletLoss } from '../losses/triplet.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { backboneGroups } from './layer-decay.js';
import { type OptimizerOptions, TrainingOptimizer } from './training-optimizer.js';

/** With a token, which is a table of more than one dimension. */
class WithToken extends SmallResNet {
  readonly token = nn.parameter(new nn.Linear(4, 1, { bias: false }).weight.detach().clone());
  override undecayed(): Tensor[] {
    return [this.token];
  }
  override parametersByDepth(): Tensor[][] {
    const [first = [], ...rest] = super.parametersByDepth();
    return [[this.token, ...first], ...rest];
  }
}

const backbone = () => new WithToken({ widths: [4, 8], depths: [1, 2], generator: new Generator(1) });
const options = { weightDecay: 0.1, decayVectors: false, layerDecay: 0.5 };

it('halves the rate with each layer below the uppermost, and leaves no parameter out', () => {
  using network = backbone();
  const { groups, factors } = backboneGroups(network, options);
  expect(groups.map(({ name, weightDecay }) => [name, factors.get(name), weightDecay])).toEqual([
    ['backbone.0', 0.125, 0.1],
    ['backbone.0.vectors', 0.125, 0],
    ['backbone.1', 0.25, 0.1],
    ['backbone.1.vectors', 0.25, 0],
    ['backbone.2', 0.5, 0.1],
    ['backbone.2.vectors', 0.5, 0],
    ['backbone.3', 1, 0.1],
    ['backbone.3.vectors', 1, 0],
  ]);
  const all = groups.flatMap(({ params }) => params);
  expect(new Set(all)).toEqual(new Set(network.parameters()));
  expect(all).toHaveLength(network.parameters().length);
});

it('never decays tokens, also where vectors and matrices decay', () => {
  using network = backbone();
  for (const layerDecay of [1, 0.5]) {
    const { groups } = backboneGroups(network, { weightDecay: 0.1, decayVectors: true, layerDecay });
    expect(groups.filter(({ weightDecay }) => weightDecay === 0).flatMap(({ params }) => params)).toEqual([
      network.token,
    ]);
  }
});

const optimizerOf = (given: Partial<OptimizerOptions>, notes: string[] = []) => {
  const model = new EmbeddingModel(backbone(), { embeddingDim: 6, generator: new Generator(2) });
  const loss = new TripletLoss();
  const optimizer = new TrainingOptimizer(model, loss, {
    learningRate: 0.1,
    algorithm: { name: 'sgd', momentum: 0 },
    weightDecay: 0,
    onNote: (text) => notes.push(text),
    ...given,
  });
  return { model, optimizer };
};

it('acts: in a step of plain gradient descent each layer moves by its own rate, through factor and freezing', () => {
  const notes: string[] = [];
  const { model, optimizer } = optimizerOf({ layerDecay: 0.5, maskLearningRateMultiplier: 1 }, notes);
  const moved = () => {
    const before = model.backbone.parametersByDepth().map((layer) => layer.map((p) => p.detach().clone()));
    for (const parameter of model.parameters()) parameter.grad = parameter.detach().clone().fill_(1);
    optimizer.step();
    return model.backbone
      .parametersByDepth()
      .map((layer, depth) =>
        Math.max(...layer.map((p, i) => p.detach().sub(before[depth]![i]!).abs().max().item())),
      );
  };
  const near = (rates: number[]) => rates.map((rate) => expect.closeTo(rate, 6) as number);
  expect(moved()).toEqual(near([0.0125, 0.025, 0.05, 0.1]));
  expect(optimizer.currentLearningRates()).toMatchObject({ backbone: 0.1, embedding: 0.1 });
  optimizer.setFactor(0.1);
  expect(moved()).toEqual(near([0.00125, 0.0025, 0.005, 0.01]));
  optimizer.freeze('backbone');
  expect(moved()).toEqual([0, 0, 0, 0]);
  expect(notes).toEqual([
    "learning rates of the backbone's layers, from the images up: 0.0125, 0.025, 0.05, 0.1",
  ]);
  optimizer.dispose();
  model.dispose();
});

it('is nothing where the layers learn alike, and leaves frozen ones out', () => {
  const notes: string[] = [];
  const { model, optimizer } = optimizerOf({}, notes);
  expect(notes).toEqual([]);
  expect(optimizer.stateDict().groups.map(({ name }) => name)).toContain('backbone');
  model.backbone.freezeBelow(2);
  const { groups } = backboneGroups(model.backbone, options);
  expect(groups.map(({ name }) => name)).toEqual([
    'backbone.2',
    'backbone.2.vectors',
    'backbone.3',
    'backbone.3.vectors',
  ]);
  optimizer.dispose();
  model.dispose();
});
