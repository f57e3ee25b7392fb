import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { builtInParts, type ExperimentInput } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { OptionError } from '../option-error.js';
import { fillExperiment, flagValue, inFlags, namingFlags, withFlags } from './fill.js';
import { flagsOf } from './flags.js';

const flags = flagsOf(builtInParts);
const fill = (given: Record<string, string>, base: ExperimentInput = {}) => {
  const unused: string[] = [];
  const experiment = fillExperiment(base, given, flags, (message) => unused.push(message));
  return { experiment, unused };
};

describe('flags', () => {
  it('lie over what there is, and over defaults', () => {
    const base: ExperimentInput = { optimize: { learningRate: 0.1 }, train: { epochs: 3 } };
    const { train, optimize, data } = resolveExperiment(fill({ lr: '0.2' }, base).experiment);
    expect([optimize.learningRate, train.epochs, data.batchSize]).toEqual([0.2, 3, 80]);
    expect(base.optimize?.learningRate).toBe(0.1);
  });

  it('of a part go to the part that is chosen, in whatever order', () => {
    expect(fill({ margin: '0.3', loss: 'triplet' }).experiment).toEqual({
      loss: { name: 'triplet', margin: 0.3 },
    });
    expect(fill({ margin: '0.3' }, { loss: { name: 'kantorov-margin' } }).experiment.loss).toEqual({
      name: 'kantorov-margin',
      alpha: 0.3,
    });
    // Of the default one where none is.
    expect(resolveExperiment(fill({ beta: '1' }).experiment).loss).toMatchObject({ name: 'margin', beta: 1 });
    // Another part has none of the options of the one before.
    expect(fill({ loss: 'triplet' }, { loss: { name: 'margin', nu: 0.5 } }).experiment.loss).toEqual({
      name: 'triplet',
    });
  });

  it('that are options of several parts go to all that are chosen', () => {
    const { experiment, unused } = fill({ margin: '0.3', loss: 'triplet', miner: 'hard-semihard' });
    expect([experiment, unused]).toEqual([
      { loss: { name: 'triplet', margin: 0.3 }, miner: { name: 'hard-semihard', margin: 0.3 } },
      [],
    ]);
  });

  it('of other parts have no effect, and that is said', () => {
    expect(fill({ nu: '0.5', loss: 'triplet' })).toEqual({
      experiment: { loss: { name: 'triplet' } },
      unused: ['--nu has no effect: it needs --loss margin'],
    });
    expect(fill({ 'dataset-dir': 'x', dataset: 'emoji' }).unused).toEqual([
      expect.stringMatching(/^--dataset-dir has no effect: it needs --dataset .*folder.* or /),
    ]);
  });

  it('of trackers add theirs to the list, or take it away', () => {
    const base: ExperimentInput = { track: [{ name: 'wandb', project: 'a' }] };
    const track = (given: Record<string, string>) => fill(given, base).experiment.track;
    expect(track({ tensorboard: 'yes' })).toEqual([{ name: 'wandb', project: 'a' }, { name: 'tensorboard' }]);
    expect(track({ wandb: 'b' })).toEqual([{ name: 'wandb', project: 'b' }]);
    expect(track({ wandb: 'none' })).toEqual([]);
    expect(track({ tensorboard: 'no' })).toEqual(base.track);
    expect(() => track({ tensorboard: 'maybe' })).toThrow('--tensorboard: expected yes or no, got "maybe"');
  });

  it.each([
    [{ weights: 'none' }, 'model.weights', null],
    [{ 'cluster-seed': 'none' }, 'divide.clusterSeed', null],
    [{ widths: '4,8', arch: 'small-resnet' }, 'model.backbone.widths', [4, 8]],
    [{ 'small-resnet-depths': '1,2', arch: 'small-resnet' }, 'model.backbone.depths', [1, 2]],
    [{ miner: 'HPHN' }, 'miner.name', 'hard-hard'],
    [{ average: 'all', loss: 'triplet' }, 'loss.averageNonZeroOnly', false],
    [{ cache: 'yes' }, 'data.cache', true],
  ])('%j is %s: %j', (given, path, value) => {
    const filled = fill(given as Record<string, string>).experiment;
    expect(
      path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], filled),
    ).toEqual(value);
  });
});

describe('what is wrong with an experiment', () => {
  it.each([
    [{ 'batch-size': 'x' }, '--batch-size: expected an integer of at least 2, got "x"'],
    [{ 'batch-size': '1.5' }, '--batch-size: expected an integer of at least 2, got 1.5'],
    [{ 'batch-size': '' }, '--batch-size: expected an integer of at least 2, got ""'],
    [{ lr: 'NaN' }, '--lr: expected a number of at least 0 or none, got "NaN"'],
    [
      { 'features-dropout': '1' },
      '--features-dropout: expected a number of at least 0 and at most 0.99, got 1',
    ],
    [
      { masks: 'leaned' },
      '--masks: expected one of learned, fixed, nested, got "leaned" (did you mean learned?)',
    ],
    [{ 'decay-vectors': 'maybe' }, '--decay-vectors: expected yes or no, got "maybe"'],
    [{ mlflow: 'x', 'image-size': '7' }, '--image-size: expected an integer of at least 8, got 7'],
    [
      { resize: '32', 'image-size': '64' },
      '--resize: expected --image-size, 64, or more, as images are cut out of it; got 32',
    ],
    [{ widths: '4,x', arch: 'small-resnet' }, '--widths: expected an integer of at least 1, got "x"'],
    [
      { 'small-resnet-input-mean': '1', arch: 'small-resnet' },
      '--small-resnet-input-mean: expected a list of 3, each a number, got [1]',
    ],
    // Several losses have an option of this name.
    [
      { loss: 'ranked-list', 'ranked-list-distance': 'cosine' },
      '--ranked-list-distance: expected one of euclidean, squared, hyperbolic, got "cosine"',
    ],
    [{ nonsense: '1' }, "unknown setting 'nonsense': conquer train --help-all lists them"],
    [{ epoch: '1' }, "unknown setting 'epoch' (did you mean epochs?): conquer train --help-all lists them"],
  ])('%j is said of its flag', (given, message) => {
    const resolve = () =>
      namingFlags(() => resolveExperiment(fill(given as Record<string, string>).experiment));
    expect(resolve).toThrow(new UserError(message));
  });

  it('is said of its flag wherever it is found, also later', async () => {
    const later = namingFlags(async () => {
      throw new OptionError(
        'train.device',
        "there is no such card: train.threads says how many threads, 'x.y' is none",
      );
    });
    await expect(later).rejects.toThrow(
      new UserError("--device: there is no such card: --threads says how many threads, 'x.y' is none"),
    );
    await expect(namingFlags(() => Promise.reject(new UserError('see model.weights')))).rejects.toThrow(
      'see --weights',
    );
    const bug = new TypeError('model.weights is no function');
    await expect(namingFlags(() => Promise.reject(bug))).rejects.toBe(bug);
    expect(namingFlags(() => 3)).toBe(3);
  });

  it('keeps its cause, by which running out of memory is known', () => {
    const cause = new Error('no memory');
    const error = inFlags(new OptionError('model.embeddingDim', 'too much'), flags);
    expect(error.cause).toBe(undefined);
    const caught = (() => {
      try {
        return namingFlags(() => {
          throw new UserError('out of memory', { cause });
        });
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect(caught).toMatchObject({ message: 'out of memory', cause });
  });

  it('of a tracker is said of its flag', () => {
    const error = inFlags(new OptionError('track.1.url', 'expected an address'), flags);
    expect(error.message).toBe('--mlflow: expected an address');
  });
});

it('notes name flags with their values; what is no path of the experiment stays', () => {
  expect(withFlags("start from model.weights 'imagenet', or model.batchNorm 'trained'", flags)).toBe(
    'start from --weights imagenet, or --bn trained',
  );
  const plain = 'read data.json and model.safetensors of example.org, epoch 1.5';
  expect(withFlags(plain, flags)).toBe(plain);
});

it('flags have the values that they fill in', () => {
  const given = {
    loss: 'triplet',
    margin: '0.3',
    cache: 'yes',
    wandb: 'birds',
    tensorboard: 'yes',
    weights: 'none',
  };
  const experiment = resolveExperiment(fill(given).experiment);
  const values = Object.fromEntries(flags.map((flag) => [flag.name, flagValue(experiment, flag)]));
  expect(values).toMatchObject({
    loss: 'triplet',
    margin: 0.3,
    cache: true,
    wandb: 'birds',
    tensorboard: true,
    weights: null,
    mlflow: null,
    epochs: 100,
  });
  expect(values.beta).toBe(undefined);
});
