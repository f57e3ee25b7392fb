import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, noGrad, writePth } from '@conquer-dml/torch';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KantorovMarginLoss } from '../losses/kantorov-margin.js';
import { NPairsLoss } from '../losses/npairs.js';
import { TripletLoss } from '../losses/triplet.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import { TripletSemihardLoss } from '../losses/triplet-semihard.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { FlexibleTripletMiner } from '../miners/flexible-triplet.js';
import { OptionError } from '../option-error.js';
import { Random } from '../random.js';
import {
  buildLearningRates,
  buildLoss,
  buildMiner,
  buildModel,
  buildNetwork,
  buildOptimizer,
  buildSampler,
  buildSchedule,
  buildTrackers,
} from './build.js';
import type { ExperimentInput } from './experiment.js';
import { mergeExperiments } from './merge.js';
import { resolveExperiment } from './resolve.js';
import { withDivision } from './settle-division.js';

const small: ExperimentInput = {
  model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 16 },
};
const experimentOf = (...layers: ExperimentInput[]) =>
  withDivision(resolveExperiment(mergeExperiments(small, ...layers)), { numLearners: 4, divideFrom: 0 });
const generators = () => ({ generator: new Generator(1), dropoutGenerator: new Generator(1) });

const lossOf = (...layers: ExperimentInput[]) => buildLoss(experimentOf(...layers), 3, new Generator(0), {});
const minerOf = (...layers: ExperimentInput[]) =>
  buildMiner(experimentOf(...layers), lossOf(...layers), new Random(0), {});
const networkOf = (...layers: ExperimentInput[]) => buildNetwork(experimentOf(...layers), generators(), {});

type LossInput = NonNullable<ExperimentInput['loss']>;

describe('losses', () => {
  it.each<[LossInput, new (...args: never[]) => object, object]>([
    [
      { name: 'triplet', margin: 0.3, soft: true, averageNonZeroOnly: false },
      TripletLoss,
      { margin: 0.3, soft: true, averageNonZeroOnly: false },
    ],
    [{ name: 'triplet' }, TripletLoss, { soft: false, averageNonZeroOnly: true, squared: false }],
    [{ name: 'triplet-all', margin: 0.4 }, TripletAllLoss, { margin: 0.4 }],
    [{ name: 'triplet-semihard', margin: 0.4, soft: true }, TripletSemihardLoss, { margin: 0.4, soft: true }],
    [
      { name: 'kantorov-margin', alpha: 0.1, beta: 1, distanceThreshold: 0.7 },
      KantorovMarginLoss,
      { alpha: 0.1, beta: 1, distanceThreshold: 0.7 },
    ],
    [{ name: 'npairs', alpha: 3 }, NPairsLoss, {}],
  ])('%j', (loss, Class, wanted) => {
    const built = lossOf({ loss });
    expect(built).toBeInstanceOf(Class);
    expect(built).toMatchObject(wanted);
    if (built instanceof NPairsLoss) expect(built.alpha.item()).toBe(3);
  });

  it('have weights for each class, of the dimensions of the embedding', () => {
    const shapes = (loss: LossInput) =>
      [...lossOf({ loss, model: { embeddingDim: 8 } }).namedParameters()].map(([, weights]) => weights.shape);
    for (const name of ['proxy-nca', 'arcface', 'normalized-softmax'] as const)
      expect(shapes({ name })).toEqual([[3, 8]]);
    expect(shapes({ name: 'soft-triple', centresPerClass: 4 })).toEqual([[3, 4, 8]]);
  });
});

describe('miners', () => {
  it.each([
    ['random-random', 'random', 'random'],
    ['random-semihard', 'random', 'semihard'],
    ['easy-hard', 'easy', 'hard'],
    ['hard-semihard', 'hard', 'semihard'],
    ['hard-hard', 'hard', 'hard'],
  ] as const)('%s', (name, positive, negative) => {
    const made = minerOf({ miner: { name } });
    expect(made).toBeInstanceOf(FlexibleTripletMiner);
    expect(made).toMatchObject({ positive, negative });
  });

  it('ask the loss for what it says, where they are not told', () => {
    const loss: LossInput = { name: 'margin', margin: 0.35 };
    expect(minerOf({ loss, miner: { name: 'easy-semihard' } })).toMatchObject({ margin: 0.35 });
    expect(minerOf({ loss, miner: { name: 'easy-semihard', margin: 0.1 } })).toMatchObject({ margin: 0.1 });
  });

  it('have their cutoffs, and there is none for a loss on the whole batch', () => {
    const easy = minerOf({ miner: { name: 'easy-positive', cutoff: 0.6 } });
    expect(easy).toBeInstanceOf(EasyPositiveMiner);
    expect(easy).toMatchObject({ cutoff: 0.6 });
    expect(
      minerOf({ miner: { name: 'distance-weighted', cutoff: 0.7, nonZeroLossCutoff: 1.3 } }),
    ).toMatchObject({ cutoff: 0.7, nonZeroLossCutoff: 1.3 });
    expect(minerOf({ loss: { name: 'npairs' } })).toBe(null);
  });
});

describe('samplers', () => {
  const labels = Int32Array.from({ length: 60 }, (_, image) => (image < 48 ? 0 : 1 + (image % 4)));
  const batches = (data: ExperimentInput['data'], of = labels) => {
    const indices = Int32Array.from(of.keys());
    const build = buildSampler(experimentOf({ data: { batchSize: 8, ...data } }), {});
    return build(indices, of, new Random(1));
  };
  const classes = (data: ExperimentInput['data']) =>
    [...batches(data)].map((batch) => new Set([...batch].map((position) => labels[position])).size);

  it('npairs and random are what they say', () => {
    const npairs = classes({ sampler: { name: 'npairs' }, samplesPerClass: 2 });
    expect(npairs.length).toBe(8);
    expect(new Set(npairs)).toEqual(new Set([4]));
    expect(Math.min(...classes({ sampler: { name: 'random' } }))).toBe(2);
    expect(Math.min(...classes({ sampler: { name: 'random', minClasses: 4 } }))).toBe(4);
  });

  it('go through the images as often as passesPerEpoch says', () => {
    const each = Int32Array.from({ length: 40 }, (_, i) => Math.floor(i / 4));
    const [once, thrice] = [1, 3].map((passesPerEpoch) =>
      batches({ samplesPerClass: 2, passesPerEpoch }, each),
    );
    expect(thrice!.length).toBe(3 * once!.length);
    expect([...thrice!]).toHaveLength(3 * [...once!].length);
  });
});

describe('the division', () => {
  const learners = (divide: ExperimentInput['divide']) => {
    using model = networkOf({ divide });
    return model.numLearners;
  };

  it('starts with the learners of the hierarchy', () => {
    expect(learners({})).toBe(1);
    expect(learners({ startLearners: 2 })).toBe(2);
    expect(learners({ hierarchy: 'none' })).toBe(4);
    expect(learners({ hierarchy: 'bottom-up' })).toBe(4);
  });

  it('has its schedule', () => {
    const at = (divide: ExperimentInput['divide'], epoch: number) =>
      buildSchedule(experimentOf({ divide })).at(epoch);
    expect(at({ hierarchy: 'bottom-up' }, 2).numLearners).toBe(2);
    expect(at({ numLearners: 1 }, 2).redivide).toBe(true);
    expect(at({ numLearners: 1, stopRecluster: true }, 2).redivide).toBe(false);
    expect(at({ divideFrom: 4 }, 2).numLearners).toBe(1);
  });
});

describe('the network', () => {
  it('has its pooling, dropout and masks', () => {
    using avg = networkOf();
    using max = networkOf({
      model: { pooling: 'max', dropout: 0.4, embeddingDim: 6, masks: { initialisation: 'normal' } },
    });
    expect([avg.pooling, max.pooling, max.featuresDropout.p]).toEqual(['avg', 'max', 0.4]);
    expect(new Set(avg.masks[0]?.toNumbers())).toEqual(new Set([1]));
    expect(new Set(max.masks[0]?.toNumbers()).size).toBe(6);
  });

  it('has its initial weights, their gain and split', () => {
    const weightOf = (embeddingInit: NonNullable<ExperimentInput['model']>['embeddingInit']) => {
      using model = networkOf({ model: { embeddingInit } });
      return [...model.embedding.weight.toNumbers()];
    };
    using truncated = networkOf({ model: { embeddingInit: { kind: 'truncated-normal' } } });
    for (const value of truncated.embedding.bias?.toNumbers() ?? []) expect(value).toBeCloseTo(0.1, 6);
    const kind = 'xavier-uniform';
    const one = weightOf({ kind });
    const three = weightOf({ kind, gain: 3 });
    for (const [i, value] of three.entries()) expect(value).toBeCloseTo(3 * one[i]!, 5);
    // With 4 learners of 4 rows the bound is sqrt(6 / (8 + 4)), not sqrt(6 / (8 + 16)).
    const split = weightOf({ kind, split: true });
    expect(Math.max(...one.map(Math.abs))).toBeLessThanOrEqual(0.5);
    expect(Math.max(...split.map(Math.abs))).toBeGreaterThan(0.6);
  });

  it('is refused by the path of the size that it cannot have', () => {
    const refused = (layer: ExperimentInput) => {
      try {
        networkOf(layer).dispose();
      } catch (error) {
        return error;
      }
      return null;
    };
    const tooSmall = refused({
      data: { imageSize: 16, resize: 16 },
      model: { backbone: { name: 'alexnet' } },
    });
    expect(tooSmall).toBeInstanceOf(OptionError);
    expect((tooSmall as OptionError).path).toBe('data.imageSize');
  });
});

describe('weights', () => {
  let folder = '';
  beforeEach(() => {
    folder = temporaryFolder();
    vi.stubEnv('CONQUER_CACHE', folder);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  const open = (layer: ExperimentInput) => buildModel(experimentOf(layer), generators(), {});

  it('of a file fill the backbone', async () => {
    using source = networkOf();
    noGrad(() => source.backbone.parameters()[0]?.fill_(0.25));
    const file = join(folder, 'a.pth');
    writePth(file, source.backbone.stateDict());
    using model = await open({ model: { weights: file } });
    const values = [...(model.backbone.parameters()[0]?.toNumbers() ?? [])];
    expect(values.length).toBeGreaterThan(10);
    expect(new Set(values)).toEqual(new Set([0.25]));
  });

  it('imagenet says what to fetch where there is no network, or nothing to fetch', async () => {
    vi.stubEnv('CONQUER_WEIGHTS_URL', 'http://127.0.0.1:9/mirror');
    const error = await open({
      model: { backbone: { name: 'resnet18' }, weights: 'imagenet' },
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OptionError);
    expect((error as OptionError).path).toBe('model.weights');
    expect((error as Error).message).toContain('http://127.0.0.1:9/mirror/resnet18-f37072fd.pth cannot be');
    expect((error as Error).message).toContain(join(folder, 'weights', 'resnet18-f37072fd.pth'));
    await expect(open({ model: { weights: 'imagenet' } })).rejects.toThrow(
      /no ImageNet weights for small-resnet/,
    );
  });

  it('that are none are named', async () => {
    const file = join(folder, 'broken.pth');
    writeFileSync(file, 'no weights');
    await expect(open({ model: { weights: file } })).rejects.toThrow(/broken\.pth/);
  });
});

describe('the optimiser', () => {
  /** Its groups by name, with the settings that steps use. */
  function groups(optimize: ExperimentInput['optimize']) {
    const experiment = experimentOf({ optimize });
    using model = buildNetwork(experiment, generators(), {});
    const loss = buildLoss(experiment, 3, new Generator(1), {});
    const optimizer = buildOptimizer(experiment, model, loss, { onWarning: () => {} });
    const state = optimizer.stateDict();
    const rates = optimizer.currentLearningRates();
    optimizer.dispose();
    loss.dispose();
    return { state, rates };
  }
  const group = (optimize: ExperimentInput['optimize'], name: string) =>
    groups(optimize).state.groups.find((one) => one.name === name)?.options;

  it('has a learning rate and a weight decay for each part', () => {
    const { rates } = groups({
      learningRate: 0.1,
      embeddingLearningRateMultiplier: 2,
      maskLearningRateMultiplier: 3,
      lossLearningRate: 0.7,
    });
    expect(rates).toMatchObject({ backbone: 0.1, embedding: 0.2, loss: 0.7 });
    expect(rates.masks).toBeCloseTo(0.3, 12);
    const decay = { weightDecay: 0.5, maskWeightDecayMultiplier: 4 };
    expect(group(decay, 'backbone')).toMatchObject({ weightDecay: 0.5 });
    expect(group(decay, 'masks')).toMatchObject({ weightDecay: 2 });
  });

  it('takes its algorithm, its moments and what it leaves undecayed', () => {
    expect(group({ optimizer: { name: 'adam', beta2: 0.9 } }, 'backbone')).toMatchObject({
      betas: [0.9, 0.9],
    });
    expect(group({ optimizer: { name: 'sgd' } }, 'backbone')).toMatchObject({
      momentum: 0.9,
      nesterov: false,
    });
    const names = (optimize: ExperimentInput['optimize']) =>
      groups(optimize).state.groups.map(({ name }) => name);
    expect(names({})).not.toContain('backbone.vectors');
    expect(names({ decayVectors: false })).toContain('backbone.vectors');
  });
});

describe('the learning rate', () => {
  type Layer = Pick<ExperimentInput, 'optimize' | 'divide' | 'train'>;
  const at = (epoch: number, layer: Layer = {}) =>
    buildLearningRates(experimentOf({ train: { epochs: 10 } }, layer))(epoch);
  const scheduled = (
    schedule: NonNullable<ExperimentInput['optimize']>['schedule'],
    warmupEpochs = 0,
  ): Layer => ({
    optimize: { schedule, warmupEpochs },
  });

  it('follows its schedule', () => {
    expect([0, 5, 9].map((epoch) => at(epoch))).toEqual([1, 1, 1]);
    const step = scheduled({ name: 'step', stepSize: 4, gamma: 0.5 });
    expect([0, 3.9, 4, 8].map((epoch) => at(epoch, step))).toEqual([1, 1, 0.5, 0.25]);
    expect(at(5, scheduled({ name: 'cosine' }))).toBeCloseTo(0.5, 12);
    const cycle = (peak: number, epoch: number) => at(epoch, scheduled({ name: 'one-cycle', peak }));
    expect(cycle(0.3, 3)).toBeCloseTo(1, 2);
    expect(cycle(0.6, 6)).toBeCloseTo(1, 2);
    expect(cycle(0.6, 3)).toBeLessThan(0.9);
  });

  it('warms up', () => {
    const warm = scheduled({ name: 'cosine' }, 2);
    // From a third, as PyTorch's LinearLR.
    expect(at(0, warm)).toBeCloseTo(1 / 3, 12);
    expect(at(1, warm)).toBeCloseTo(2 / 3, 12);
    expect(at(2, warm)).toBeCloseTo(1, 6);
    expect(at(6, warm)).toBeCloseTo(0.5, 6);
    // What follows the warm-up ends with the training.
    expect(at(9.999, scheduled({ name: 'one-cycle' }, 2))).toBeLessThan(1e-4);
  });

  it('has a schedule of its own after the first division where it has a rate of its own', () => {
    const oneCycle = { learningRate: 0.004, schedule: { name: 'one-cycle' as const } };
    const divided = (more: object = {}): Layer => ({
      divide: { divideFrom: 6 },
      optimize: { ...oneCycle, divided: { learningRate: 0.002, ...more } },
    });
    const before = (epoch: number) => at(epoch, { train: { epochs: 6 }, optimize: oneCycle });
    expect([0, 2, 5.9].map((epoch) => at(epoch, divided()))).toEqual([0, 2, 5.9].map(before));
    expect([6, 8, 9.9999].map((epoch) => at(epoch, divided()))).toEqual([
      0.5,
      expect.closeTo(0.25, 12),
      expect.closeTo(0, 8),
    ]);
    expect(at(9, divided({ schedule: { name: 'constant' } }))).toBe(0.5);
    // Without a rate of its own the schedule that there is goes on.
    expect(at(8, { divide: { divideFrom: 6 }, optimize: oneCycle })).toBe(at(8, { optimize: oneCycle }));
    const refused = (layer: Layer) => () => at(0, layer);
    expect(refused({ optimize: { divided: { learningRate: 0.002 } } })).toThrow(
      /^optimize\.divided\.learningRate: .* expected epochs before it/,
    );
    expect(
      refused({ divide: { divideFrom: 2 }, optimize: { learningRate: 0, divided: { learningRate: 0.002 } } }),
    ).toThrow(/a learning rate above 0/);
    expect(refused({ optimize: { schedule: { name: 'cosine' }, courses: '6+' } })).toThrow(
      /^optimize\.courses: expected/,
    );
  });
});

it('trackers that cannot work are named', () => {
  expect(() => buildTrackers(experimentOf({ track: [{ name: 'mlflow', url: 'nowhere' }] }))).toThrow(
    OptionError,
  );
  expect(buildTrackers(experimentOf({ track: [{ name: 'tensorboard' }] })).map(({ name }) => name)).toEqual([
    'TensorBoard',
  ]);
});

it('code of one’s own that only a file names has to be given', () => {
  const own = { own: 'MyLoss', options: '{}' };
  const build = () => lossOf({ loss: own });
  expect(build).toThrow(UserError);
  expect(build).toThrow(
    /^loss: is code of one's own \(MyLoss\), which no file holds: call train\(\) with it/,
  );
});
