import { UserError } from '@conquer-dml/run';
import { Generator, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Loss } from '../losses/loss.js';
import { MarginLoss } from '../losses/margin.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import { NPairsLoss } from '../losses/npairs.js';
import { ProxyNcaLoss } from '../losses/proxy-nca.js';
import { TripletLoss } from '../losses/triplet.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import type { MaskOptions } from '../models/masks.js';
import { TrainingStep } from '../train/step.js';
import { adamw } from './adamw.js';
import { type OptimizerOptions, TrainingOptimizer } from './training-optimizer.js';

const images = randn([4, 3, 8, 8], { generator: new Generator(2) });

const algorithms = {
  adam: { name: 'adam' },
  adamw: adamw.build(adamw.options.parse({}), null),
  sgd: { name: 'sgd' },
  nesterov: { name: 'sgd', nesterov: true },
} satisfies Record<string, OptimizerOptions['algorithm']>;

let model: EmbeddingModel;
let loss: NormalizedSoftmaxLoss;
const made: Disposable[] = [];

function setUp(options: Partial<OptimizerOptions> = {}, masks: MaskOptions = {}): TrainingOptimizer {
  const generator = new Generator(1);
  model = new EmbeddingModel(new SmallResNet({ widths: [4, 8], generator }), {
    embeddingDim: 6,
    dropout: 0,
    generator,
    masks,
  });
  loss = new NormalizedSoftmaxLoss({ numClasses: 3, embeddingDim: 6, generator });
  const optimizer = new TrainingOptimizer(model, loss, { learningRate: 0.1, ...options });
  made.push(model, loss, optimizer);
  return optimizer;
}

/** One update with some gradient for every parameter. */
function update(optimizer: TrainingOptimizer): void {
  scope(() => {
    optimizer.zeroGrad();
    let total = loss.ofBatch(model.embed(images), Int32Array.of(0, 1, 2, 0));
    for (const mask of model.masks) total = total.add(mask.square().sum());
    total.backward();
    optimizer.step();
  });
}

const numbers = (tensors: readonly Tensor[]) => tensors.flatMap((tensor) => [...tensor.toNumbers()]);

/** Which parts an update changes. */
function changes(optimizer: TrainingOptimizer): string[] {
  const parts = () => ({ ...model.parameterGroups(), loss: loss.parameters() });
  const before = Object.entries(parts()).map(([name, tensors]) => [name, numbers(tensors)] as const);
  update(optimizer);
  const after: Record<string, Tensor[]> = parts();
  return before.flatMap(([name, values]) =>
    numbers(after[name] ?? []).some((value, i) => value !== values[i]) ? [name] : [],
  );
}

beforeEach(() => {
  made.length = 0;
});
afterEach(() => {
  for (const each of made) each[Symbol.dispose]();
});

describe('TrainingOptimizer', () => {
  describe('says what of a loss it does not train', () => {
    const warnings = (of: Loss, options: Partial<OptimizerOptions>, other = of): string[] => {
      const told: string[] = [];
      const optimizer = setUp(options); // makes the model
      made.push(of, other);
      optimizer.dispose();
      const again = new TrainingOptimizer(model, of, {
        learningRate: 0.1,
        ...options,
        onWarning: (message) => told.push(message),
        onNote: (message) => told.push(`note: ${message}`),
      });
      made.push(again);
      for (const _ of [1, 2])
        new TrainingStep({
          model,
          loss: other,
          miner: new EasyPositiveMiner(),
          optimizer: again,
          maskLambda: 0,
        });
      return told;
    };
    const proxies = () => new ProxyNcaLoss({ numClasses: 3, embeddingDim: 6 });

    it.each<[string, () => Loss, RegExp]>([
      ['class weights', proxies, /^ProxyNcaLoss: proxies \[3,6\] stays as drawn, as the learning rate/],
      ['a boundary', () => new MarginLoss(), /^note: MarginLoss: beta stays at 1.2, as/],
      ['boundaries', () => new MarginLoss({ numClasses: 3 }), /^MarginLoss: beta \[3\] stays as drawn/],
      ['a scale', () => new NPairsLoss(), /^note: NPairsLoss: alpha stays at 1, as/],
    ])('%s without a learning rate, or with one of 0, once', (_, make, wanted) => {
      for (const options of [{}, { lossLearningRate: 0 }]) {
        const told = warnings(make(), options);
        expect(told).toHaveLength(1);
        expect(told[0]).toMatch(wanted);
      }
      expect(warnings(make(), { lossLearningRate: 0.1 })).toEqual([]);
    });

    it('nothing of a loss without parameters', () => {
      expect(warnings(new TripletLoss(), {})).toEqual([]);
    });

    it('a loss that the step has and the optimiser has not', () => {
      const told = warnings(proxies(), { lossLearningRate: 0.1 }, proxies());
      expect(told).toEqual([
        expect.stringMatching(/^ProxyNcaLoss: proxies .* as the optimiser was not given it/),
      ]);
      const [boundary, other] = [new MarginLoss(), new MarginLoss()];
      expect(warnings(boundary, { lossLearningRate: 0.1 }, other)).toEqual([
        expect.stringMatching(/^MarginLoss: beta stays at 1.2, as the optimiser was not given it/),
      ]);
    });

    it('by a warning of the process where nobody asked to be told', () => {
      const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      setUp();
      expect(emitted.mock.calls).toEqual([[expect.stringMatching(/class_weights/)]]);
      emitted.mockRestore();
    });
  });

  it('gives every part its own learning rate', () => {
    const rates = {
      learningRate: 0.25,
      embeddingLearningRateMultiplier: 2,
      lossLearningRate: 0.4,
      maskLearningRateMultiplier: 4,
    };
    expect(setUp(rates).currentLearningRates()).toEqual({
      backbone: 0.25,
      embedding: 0.5,
      loss: 0.4,
      masks: 1,
    });
    expect(setUp().currentLearningRates()).toEqual({ backbone: 0.1, embedding: 0.1, masks: 10 });
  });

  it('trains loss parameters only with a learning rate of their own, and fixed masks never', () => {
    expect(changes(setUp({ lossLearningRate: 0.1 }))).toEqual(['backbone', 'embedding', 'masks', 'loss']);
    expect(changes(setUp())).toEqual(['backbone', 'embedding', 'masks']);
    expect(loss.classWeights.grad).toBe(null);
    expect(changes(setUp({}, { kind: 'fixed' }))).toEqual(['backbone', 'embedding']);
  });

  it('multiplies all learning rates by the factor of the schedule', () => {
    const optimizer = setUp({ lossLearningRate: 0.4, maskLearningRateMultiplier: 1 });
    optimizer.setFactor(0.5);
    expect(optimizer.currentLearningRates()).toEqual({
      backbone: 0.05,
      embedding: 0.05,
      loss: 0.2,
      masks: 0.05,
    });
  });

  it('freezes a part and thaws it, through changes of the schedule and of the masks', () => {
    const optimizer = setUp({ weightDecay: 0.1, algorithm: algorithms.adamw });
    optimizer.freeze('backbone');
    optimizer.freeze('masks');
    optimizer.setFactor(0.5);
    model.doubleLearners();
    optimizer.replaceMasks();
    expect(optimizer.currentLearningRates()).toEqual({ backbone: 0, embedding: 0.05, masks: 0 });
    expect(changes(optimizer)).toEqual(['embedding']);
    optimizer.freeze('backbone', false);
    optimizer.freeze('masks', false);
    expect(changes(optimizer)).toEqual(['backbone', 'embedding', 'masks']);
  });

  it('keeps the moments of a frozen backbone moving', () => {
    const optimizer = setUp();
    optimizer.freeze('backbone');
    update(optimizer);
    const { groups } = optimizer.stateDict();
    expect(groups.find(({ name }) => name === 'backbone')?.steps.every((step) => step === 1)).toBe(true);
  });

  it('decays weights as asked: not those of the loss, of masks in proportion, vectors unless told otherwise', () => {
    const decayed = (options: Partial<OptimizerOptions>) => {
      const optimizer = setUp({
        algorithm: algorithms.adamw,
        weightDecay: 0.1,
        lossLearningRate: 0.1,
        ...options,
      });
      return Object.fromEntries(
        optimizer.stateDict().groups.map(({ name, options: { weightDecay } }) => [name, weightDecay]),
      );
    };
    expect(decayed({})).toEqual({ backbone: 0.1, embedding: 0.1, loss: 0, masks: 0.1 });
    expect(decayed({ decayVectors: false, maskWeightDecayMultiplier: 2 })).toEqual({
      backbone: 0.1,
      'backbone.vectors': 0,
      embedding: 0.1,
      'embedding.vectors': 0,
      loss: 0,
      masks: 0.2,
    });
  });

  it('starts afresh with the masks of doubled learners, and keeps the other moments', () => {
    const optimizer = setUp();
    update(optimizer);
    model.doubleLearners();
    optimizer.replaceMasks();
    const steps = Object.fromEntries(optimizer.stateDict().groups.map(({ name, steps }) => [name, steps]));
    expect(steps.masks).toEqual([0, 0]);
    expect(steps.embedding).toEqual([1, 1]);
    expect(changes(optimizer)).toContain('masks');
  });

  it('leaves the masks alone once they are removed, twice too', () => {
    const optimizer = setUp();
    optimizer.removeMasks();
    optimizer.removeMasks();
    expect(changes(optimizer)).toEqual(['backbone', 'embedding']);
  });

  it.each(Object.entries(algorithms))(
    '%s continues from its saved state as if never interrupted',
    (_, algorithm) => {
      const options = { lossLearningRate: 0.2, decayVectors: false, weightDecay: 0.01, algorithm };
      const first = setUp(options);
      first.setFactor(0.7);
      first.freeze('masks');
      update(first);
      const [firstModel, firstLoss] = [model, loss];

      const second = setUp(options);
      model.loadStateDict(firstModel.stateDict());
      loss.loadStateDict(firstLoss.stateDict());
      const state = first.stateDict();
      second.loadStateDict({
        ...JSON.parse(JSON.stringify({ ...state, tensors: null })),
        tensors: state.tensors,
      });
      expect(second.currentLearningRates()).toEqual(first.currentLearningRates());
      update(second);
      const resumed = numbers([...model.parameters(), ...loss.parameters()]);
      [model, loss] = [firstModel, firstLoss];
      update(first);
      expect(resumed).toEqual(numbers([...model.parameters(), ...loss.parameters()]));
    },
  );

  it('refuses rates below 0, and options that it has not', () => {
    expect(() => setUp({ learningRate: -1 })).toThrow(UserError);
    expect(() => setUp({ weightDecay: Number.NaN })).toThrow(/weightDecay: expected .* at least 0, got NaN/);
    expect(() => setUp({ maskLearningRate: 1 } as object)).toThrow(/maskLearningRate: unknown option/);
    expect(() => setUp({ algorithm: { name: 'adma' } } as object)).toThrow(/algorithm.name: .* mean adam\?/);
  });

  it.each([
    ['adam', 'adamw'],
    ['adam', 'sgd'],
    ['sgd', 'nesterov'],
  ] as const)('%s is not %s', (one, other) => {
    const after = (name: keyof typeof algorithms) => {
      const optimizer = setUp({ algorithm: algorithms[name], weightDecay: 0.1 });
      for (const _ of [1, 2]) update(optimizer);
      return numbers(noGrad(() => model.parameterGroups().embedding));
    };
    expect(after(one)).not.toEqual(after(other));
  });
});
