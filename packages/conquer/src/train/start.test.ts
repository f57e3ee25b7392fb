import { describe, expect, it } from 'vitest';
import { builtInParts, type ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { readRecipe } from '../experiment/recipe.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { lateMemoryWarning, startWarning } from './start.js';

const warning = (...layers: ExperimentInput[]) =>
  startWarning(resolveExperiment(mergeExperiments(...layers)), builtInParts);

describe('a start that cannot learn', () => {
  it.each<[ExperimentInput, RegExp]>([
    [{ model: { batchNorm: 'frozen' } }, /BatchNorm is frozen at statistics.*model\.weights 'published'/],
    [{ optimize: { learningRate: 1e-6 } }, /next to nothing at a learning rate of 0.000001/],
    [
      { model: { weights: null, batchNorm: 'frozen' }, optimize: { learningRate: 1e-5 } },
      /BatchNorm is frozen.*, and weights drawn at random learn next to nothing at a learning rate of 0.00001:/,
    ],
    [
      { model: { backbone: { name: 'alexnet' } }, optimize: { learningRate: 1e-5 } },
      /^weights drawn at random learn next to nothing at a learning rate of 0.00001:/,
    ],
    [
      { model: { weights: 'imagenet' }, optimize: { learningRate: 0 } },
      /^a learning rate of 0 leaves backbone and embedding as they are \(optimize\.learningRate\)$/,
    ],
  ])('is warned of: %j', (experiment, expected) => {
    expect(warning(experiment)).toMatch(expected);
  });

  it.each<ExperimentInput>([
    // What is left open follows the weights.
    {},
    { model: { backbone: { name: 'resnet18' } }, divide: { numLearners: 1 } },
    { model: { weights: 'imagenet' } },
    { model: { weights: 'resnet50.pth' } },
    { model: { batchNorm: 'trained' }, optimize: { learningRate: 1e-3 } },
    { model: { backbone: { name: 'vgg11' }, batchNorm: 'frozen' } },
    { optimize: { learningRate: 1e-5, embeddingLearningRateMultiplier: 100 } },
  ])('%j can learn', (experiment) => {
    expect(warning(experiment)).toBe(null);
  });
});

describe('the recipes', () => {
  it.each(['demo', 'sop', 'cub', 'dc2019', 'emoji-margin'])('%s can learn', (name) => {
    const place: ExperimentInput = name.includes('emoji') || name === 'demo' ? {} : folder;
    expect(warning(readRecipe(name).experiment, place)).toBe(null);
  });
  const folder = { data: { dataset: { folder: '/data' } } } as ExperimentInput;

  it('that start from pretrained weights start without them where that is said, at their rate, with a warning', () => {
    const at = warning(readRecipe('sop').experiment, folder, { model: { weights: null } });
    expect(at).toMatch(/next to nothing/);
  });
});

it('a memory that begins after the last batch is warned of', () => {
  const late = (startStep: number) => {
    const experiment: ExperimentInput = {
      data: { batchSize: 10, passesPerEpoch: 2 },
      train: { epochs: 3, crossBatchMemory: { startStep } },
    };
    return lateMemoryWarning(resolveExperiment(experiment), 105);
  };
  expect(late(60)).toMatch(/begins after 60 batches, and the training has about 60: without a lower/);
  expect(late(59)).toBe(null);
  expect(lateMemoryWarning(resolveExperiment({}), 105)).toBe(null);
});
