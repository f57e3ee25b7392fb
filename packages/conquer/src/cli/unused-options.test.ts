import { describe, expect, it } from 'vitest';
import { lossOptions } from './loss-options.js';
import { resolveSettings, type TrainSettings, trainOptions } from './options.js';
import { readRecipe } from './recipe.js';
import { refuseUnusedOptions, unusedOptions } from './unused-options.js';

const unused = (flags: Record<string, unknown>, recipe: Record<string, unknown> = {}) =>
  unusedOptions(resolveSettings(recipe, flags), Object.keys(flags));

describe('options that would do nothing', () => {
  it.each([
    [{ dataset: 'emoji', 'dataset-dir': 'x' }, 'dataset-dir'],
    [{ dataset: 'emoji', split: 'random' }, 'split'],
    [{ dataset: 'cub', split: 'half' }, 'split'],
    [{ dataset: 'folder', 'train-fraction': 0.3 }, 'train-fraction'],
    [{ dataset: 'folder', 'allow-partial': 'yes' }, 'allow-partial'],
    [{ dataset: 'folder', 'train-on': 'all', split: 'random' }, 'split'],
    [{ 'train-on': 'all', 'best-by': 'NMI' }, 'best-by'],
    [{ widths: '8,16' }, 'widths'],
    [{ arch: 'vgg11', bn: 'trained' }, 'bn'],
    [{ temperature: 0.1 }, 'temperature'],
    [{ loss: 'contrastive', 'loss-lr': 0.1 }, 'loss-lr'],
    [{ loss: 'triplet', soft: 'yes', miner: 'easy-positive', margin: 0.1 }, 'margin'],
    [{ loss: 'proxy-nca', miner: 'hard-hard' }, 'miner'],
    [{ miner: 'hard-hard', 'miner-cutoff': 0.1 }, 'miner-cutoff'],
    [{ sampler: 'random', 'samples-per-class': 2 }, 'samples-per-class'],
    [{ sampler: 'npairs', 'small-class-action': 'duplicate' }, 'small-class-action'],
    [{ 'lr-gamma': 0.1 }, 'lr-gamma'],
    [{ 'lr-schedule': 'cosine', 'lr-peak': 0.1 }, 'lr-peak'],
    [{ 'num-learners': 1, clustering: 'kmeans' }, 'clustering'],
    [{ hierarchy: 'none', 'start-learners': 2 }, 'start-learners'],
    [{ masks: 'fixed', 'mask-lr-mult': 10 }, 'mask-lr-mult'],
    [{ optimizer: 'sgd', 'adam-beta2': 0.9 }, 'adam-beta2'],
    [{ 'weight-decay': 0, 'decay-vectors': 'no' }, 'decay-vectors'],
  ])('%j: --%s', (flags, name) => {
    expect(unused(flags)).toEqual([expect.stringMatching(new RegExp(`^--${name} has no effect: it needs `))]);
    const { [name]: _, ...others } = flags as Record<string, unknown>;
    expect(unused(others)).toEqual([]);
  });

  it('are those of all losses but one', () => {
    const { loss: spec } = trainOptions;
    for (const name of Object.keys(lossOptions)) {
      const by = spec.choices.filter(
        (loss) => unused({ loss, [name]: trainOptions[name as keyof TrainSettings].default }).length === 0,
      );
      expect(by, name).toHaveLength(1);
      expect(trainOptions[name as keyof TrainSettings].help).toContain(by[0]);
    }
  });

  it('may stand in a recipe, but not on the command line', () => {
    const { settings } = readRecipe('emoji-margin'); // it has the demo's temperature
    expect(unused({}, settings)).toEqual([]);
    expect(unused({ temperature: 0.1 }, settings)).toHaveLength(1);
    expect(() => refuseUnusedOptions(resolveSettings(settings), ['dataset-dir', 'temperature'])).toThrow(
      /^--dataset-dir has no effect: .*; --temperature has no effect: .* Leave them out$/,
    );
  });
});
