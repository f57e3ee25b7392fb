import { expect, it } from 'vitest';
import { builtInParts, type ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { describeExperiment } from './describe.js';
import { fillExperiment } from './fill.js';
import { flagsOf } from './flags.js';

it('says where each setting is from', () => {
  const flags = flagsOf(builtInParts);
  const recipe = {
    optimize: { learningRate: 0.1 },
    train: { epochs: 3 },
    loss: { name: 'triplet' as const },
  };
  const old = { model: { weights: 'imagenet' } };
  const given = { lr: '0.2' };
  const experiment = resolveExperiment(
    fillExperiment(mergeExperiments<ExperimentInput>(old, recipe), given, flags, () => {}),
  );
  const lines = describeExperiment(experiment, flags, { 'old flags': old, recipe }, given).split('\n');
  const words = (name: string) => lines.find((line) => line.startsWith(`--${name} `))?.split(/ {2,}/);
  expect(words('lr')).toEqual(['--lr', '0.2', 'flag']);
  expect(words('epochs')).toEqual(['--epochs', '3', 'recipe']);
  expect(words('loss')).toEqual(['--loss', 'triplet', 'recipe']);
  expect(words('batch-size')).toEqual(['--batch-size', '80', 'default']);
  expect(words('weights')).toEqual(['--weights', 'imagenet', 'old flags']);
  expect(words('cluster-seed')).toEqual(['--cluster-seed', '-', 'default']);
  expect(words('miner')).toEqual(['--miner', 'distance-weighted', 'default']);
  // Of parts that are not chosen there is nothing to say.
  expect(words('beta')).toBe(undefined);
  expect(words('margin')).toEqual(['--margin', '0.2', 'default']);
});
