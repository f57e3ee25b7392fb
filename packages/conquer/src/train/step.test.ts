import { Generator, liveTensors, noGrad, randn, type Tensor } from '@conquer-dml/torch';
import { afterEach, describe, expect, it } from 'vitest';
import { KantorovMarginLoss } from '../losses/kantorov-margin.js';
import { MarginLoss } from '../losses/margin.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import { NPairsLoss } from '../losses/npairs.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import { TripletSemihardLoss } from '../losses/triplet-semihard.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import type { Miner } from '../miners/miner.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { type OptimizerOptions, TrainingOptimizer } from '../optimize/training-optimizer.js';
import { TrainingStep } from './step.js';

const images = randn([6, 3, 12, 12], { generator: new Generator(2) });
const labels = Int32Array.of(0, 0, 1, 1, 2, 2);
const made: Disposable[] = [];

interface SetUp {
  model: EmbeddingModel;
  optimizer: TrainingOptimizer;
  step: TrainingStep;
}

function setUp(
  parts: {
    miner?: Miner;
    softmax?: boolean;
    maskLambda?: number;
    fullEmbeddingMasks?: 'sum' | 'sum-l1';
  } = {},
  options: Partial<OptimizerOptions> = {},
): SetUp {
  const generator = new Generator(1);
  const backbone = new SmallResNet({ widths: [4, 8], generator });
  const masks = { numLearners: 2, initialisation: 'normal', generator } as const;
  const model = new EmbeddingModel(backbone, {
    embeddingDim: 6,
    dropout: 0,
    fullEmbeddingMasks: parts.fullEmbeddingMasks,
    generator,
    masks,
  });
  noGrad(() => model.masks[1]?.copy_(randn([6], { generator }).abs()));
  const loss = parts.softmax
    ? new NormalizedSoftmaxLoss({ numClasses: 3, embeddingDim: 6, generator })
    : new MarginLoss();
  const optimizer = new TrainingOptimizer(model, loss, {
    learningRate: 0.01,
    weightDecay: 0,
    onWarning: () => {},
    ...options,
  });
  const miner = parts.softmax ? null : (parts.miner ?? new EasyPositiveMiner({ cutoff: 0 }));
  const step = new TrainingStep({ model, loss, miner, optimizer, maskLambda: parts.maskLambda ?? 0.5 });
  made.push(model, loss, optimizer);
  return { model, optimizer, step };
}

const numbers = (tensors: readonly Tensor[]) => tensors.map((tensor) => [...tensor.toNumbers()]);

afterEach(() => {
  for (const each of made.splice(0)) each[Symbol.dispose]();
});

describe('TrainingStep', () => {
  it('learns: the metric loss of the same batch falls, and the masks part', () => {
    const { step } = setUp();
    const input = { images, labels, learner: 0, fullEmbedding: false };
    const first = step.run(input);
    expect(first).toMatchObject({ numTuples: 6, skipped: null });
    let last = first;
    for (let i = 0; i < 20; i++) last = step.run(input);
    expect(last.metricLoss).toBeLessThan(0.5 * (first.metricLoss as number));
    expect(last.maskLoss).toBeLessThan(first.maskLoss as number);
  });

  it('makes no pair of two rows that show one image', () => {
    const input = { images, labels, learner: 0, fullEmbedding: false };
    // Of the first class the second row is the first again.
    const imageIds = Int32Array.of(0, 0, 2, 3, 4, 5);
    expect(setUp().step.run({ ...input, imageIds })).toMatchObject({ numTuples: 4 });
    const copies = setUp().step.run({ ...input, imageIds: Int32Array.of(0, 0, 1, 1, 2, 2) });
    expect(copies).toMatchObject({ metricLoss: null, numTuples: 0 });
    expect(copies.skipped ?? '').not.toBe('');
  });

  it('weighs the mask loss by lambda', () => {
    const maskLoss = (maskLambda: number) =>
      setUp({ maskLambda }).step.run({ images, labels, learner: 0, fullEmbedding: false }).maskLoss as number;
    expect(maskLoss(0.5)).toBeGreaterThan(0);
    expect(maskLoss(1)).toBeCloseTo(2 * maskLoss(0.5), 6);
    expect(maskLoss(0)).toBe(0);
  });

  it("trains the learner's mask, the other one by the mask loss alone", () => {
    const changed = (maskLambda: number) => {
      const { model, step } = setUp({ maskLambda });
      const before = numbers(model.masks);
      step.run({ images, labels, learner: 0, fullEmbedding: false });
      return numbers(model.masks).map((mask, k) => mask.some((value, d) => value !== before[k]?.[d]));
    };
    expect(changed(0.5)).toEqual([true, true]);
    // Adam moves what has a gradient of exactly 0 by exactly nothing.
    expect(changed(0)).toEqual([true, false]);
  });

  it('trains the whole embedding without the masks, whose loss is measured only', () => {
    const { model, optimizer, step } = setUp();
    const whole = setUp();
    const masked = whole.step.run({ images, labels, learner: 0, fullEmbedding: false });
    optimizer.removeMasks();
    const before = numbers(model.masks);
    const result = step.run({ images, labels, learner: 0, fullEmbedding: true });
    expect(result.maskLoss).toBeCloseTo(masked.maskLoss as number, 6);
    expect(result.metricLoss).not.toBe(masked.metricLoss);
    expect(numbers(model.masks)).toEqual(before);
    expect(model.masks.map(({ grad }) => grad)).toEqual([null, null]);
  });

  it('applies the sum of the masks to the whole embedding, if told to', () => {
    const lossOf = (fullEmbeddingMasks?: 'sum' | 'sum-l1') => {
      const { model, optimizer, step } = setUp({ fullEmbeddingMasks });
      optimizer.removeMasks();
      const before = numbers(model.masks);
      const input = { images, labels, learner: 0, fullEmbedding: true };
      const { metricLoss } = step.run(input);
      expect(numbers(model.masks)).toEqual(before);
      expect(model.masks.map(({ grad }) => grad)).toEqual([null, null]);
      return metricLoss;
    };
    expect(new Set([lossOf(), lossOf('sum'), lossOf('sum-l1')]).size).toBe(3);
  });

  it.each([
    ['triplet-all', () => new TripletAllLoss(), Int32Array.of(0, 0, 0, 0, 0, 0)],
    ['triplet-semihard', () => new TripletSemihardLoss(), Int32Array.of(0, 1, 2, 3, 4, 5)],
    ['npairs', () => new NPairsLoss(), Int32Array.of(0, 1, 2, 3, 4, 5)],
    ['kantorov-margin', () => new KantorovMarginLoss(), Int32Array.of(0, 1, 2, 3, 4, 5)],
  ] as const)('skips and reports a batch without anything for %s', (_, make, useless) => {
    const { model, optimizer } = setUp();
    using loss = make();
    const step = new TrainingStep({ model, loss, miner: null, optimizer, maskLambda: 0 });
    const before = numbers(model.parameters());
    const input = { images, learner: 0, fullEmbedding: false };
    expect(step.run({ ...input, labels: useless }).skipped).toMatch(/anything to compare/);
    expect(numbers(model.parameters())).toEqual(before);
    expect(step.run({ ...input, labels }).skipped).toBe(null);
  });

  it('skips a batch without tuples and says so: nothing moves', () => {
    const none: Miner = {
      mine: () => ({
        anchors: new Int32Array(0),
        positives: new Int32Array(0),
        negatives: new Int32Array(0),
      }),
    };
    const { model, step } = setUp({ miner: none });
    const before = numbers(model.parameters());
    const result = step.run({ images, labels, learner: 0, fullEmbedding: false });
    expect(result).toEqual({
      metricLoss: null,
      maskLoss: null,
      numTuples: 0,
      anchorsWithoutTuples: 6,
      skipped: 'the miner found no valid tuple in the batch',
    });
    expect(numbers(model.parameters())).toEqual(before);
  });

  it('runs a loss without tuples and without a miner', () => {
    const { step } = setUp({ softmax: true }, { lossLearningRate: 0.01 });
    const result = step.run({ images, labels, learner: 1, fullEmbedding: false });
    expect(result.numTuples).toBe(null);
    expect(result.metricLoss).toBeGreaterThan(0);
  });

  it('needs a miner for a loss with tuples', () => {
    const { model, optimizer } = setUp();
    using loss = new MarginLoss();
    expect(() => new TrainingStep({ model, loss, miner: null, optimizer, maskLambda: 0 })).toThrow(
      /needs a miner/,
    );
  });

  it('stops at a loss that is not finite, before the weights are spoilt', () => {
    const { model, step } = setUp({ softmax: true });
    const before = numbers(model.parameters());
    using broken = images.mul(Number.NaN);
    const run = () => step.run({ images: broken, labels, learner: 0, fullEmbedding: false });
    expect(run).toThrow(/loss or its gradient is not finite \(.*gradient NaN/);
    expect(numbers(model.parameters())).toEqual(before);
  });

  it('leaves no tensor behind', () => {
    const { model, step } = setUp();
    const input = { images, labels, learner: 0, fullEmbedding: false };
    step.run(input);
    // The gradients of the parameters stay until the next step; only reading them makes tensors.
    const before = liveTensors();
    for (let i = 0; i < 3; i++) step.run(input);
    expect(liveTensors()).toBe(before);
    expect(model.parameters().every((parameter) => !parameter.disposed)).toBe(true);
  });
});
