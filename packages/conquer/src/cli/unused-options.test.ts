import { describe, expect, it } from 'vitest';
import { builtInParts, type ExperimentInput } from '../experiment/experiment.js';
import { readRecipe } from '../experiment/recipe.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { withDivision } from '../experiment/settle-division.js';
import { fillExperiment } from './fill.js';
import { flagsOf } from './flags.js';
import { refuseUnused, unusedOptions } from './unused-options.js';

const flags = flagsOf(builtInParts);

/** What `conquer train` says of these flags that would do nothing. */
function unused(given: Record<string, unknown>, recipe: ExperimentInput = {}): string[] {
  const said: string[] = [];
  const texts = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]));
  // A data set that must be given its folder is; --dataset-dir is asked about only where it is given.
  const filled = fillExperiment(recipe, texts, flags, (message) => said.push(message));
  const { dataset } = filled.data ?? {};
  const placed =
    dataset && 'name' in dataset && ['folder', 'cub'].includes(dataset.name) && !('folder' in dataset)
      ? { ...filled, data: { ...filled.data, dataset: { ...dataset, folder: 'x' } } }
      : filled;
  const experiment = resolveExperiment(placed as ExperimentInput);
  return [...said, ...unusedOptions(experiment, Object.keys(given), builtInParts)];
}

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
    [{ loss: 'proxy-nca', 'miner-cutoff': 0.1 }, 'miner-cutoff'],
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

  it('are none where a miner has the option', () => {
    expect(unused({ loss: 'triplet', soft: 'yes', miner: 'hard-semihard', margin: 0.1 })).toEqual([]);
  });

  it.each(flags.filter(({ targets }) => targets.every(({ path, part }) => path === 'loss' && part !== null)))(
    '--$name means something for the losses that have it, and its help names them',
    (flag) => {
      const by = builtInParts.losses
        .map(({ name }) => name)
        .filter(
          (loss) => unused({ loss, [flag.name]: flag.default ?? flag.choices[0] ?? 'none' }).length === 0,
        );
      expect(by.sort()).toEqual([...new Set(flag.targets.map(({ part }) => part))].sort());
      for (const loss of by) expect(flag.help).toContain(loss);
    },
  );

  it('of a division that the data decide, do something until it is decided', () => {
    const given = { 'divide-from': 0, clustering: 'kmeans', 'start-learners': 2 };
    expect(unused(given)).toEqual([]);
    const open = resolveExperiment({});
    const learners = (numLearners: number) =>
      unusedOptions(withDivision(open, { numLearners, divideFrom: 0 }), Object.keys(given), builtInParts);
    expect(learners(4)).toEqual([]);
    expect(learners(1)).toHaveLength(3);
  });

  it('may stand in a recipe, but not on the command line', () => {
    const { experiment } = readRecipe('demo');
    expect(experiment.model?.masks).toBeUndefined();
    const fixed: ExperimentInput = {
      ...experiment,
      model: { ...experiment.model, masks: { kind: 'fixed' } },
      optimize: { ...experiment.optimize, maskLearningRateMultiplier: 7 },
    };
    expect(unused({}, fixed)).toEqual([]);
    const both = unused({ 'dataset-dir': 'x', 'mask-lr-mult': 7 }, fixed);
    expect(both).toHaveLength(2);
    expect(() => refuseUnused(both)).toThrow(
      /^--dataset-dir has no effect: .*; --mask-lr-mult has no effect: .* Leave them out$/,
    );
    expect(() => refuseUnused([])).not.toThrow();
  });
});
