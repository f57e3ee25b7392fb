import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { experimentOf } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { asAuthors, translateDcesmlFlags } from '../cli/dcesml-flags.js';
import { fillExperiment } from '../cli/fill.js';
import { type Flag, flagsOf } from '../cli/flags.js';
import { usualDivision } from '../divide/usual-division.js';
import { builtInParts, type Experiment, type ExperimentInput } from '../experiment/experiment.js';
import { readRecipe, recipeNames } from '../experiment/recipe.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { withDivision } from '../experiment/settle-division.js';
import { usualBounds } from '../mining-bounds.js';

// What the recipes, the flags and the authors' flags came to before settings became one nested description, frozen: a default
// that moves, or a flag that is lost, is an experiment that changed. The fixture is never made anew; a recipe that is changed
// on purpose is changed in it too.

type Settings = Record<string, string | number | null>;
interface FrozenFlag {
  kind: 'choice' | 'text' | 'number' | 'integer';
  default: string | number | null;
  choices?: string[];
  aliases?: Record<string, string>;
  min?: number;
  max?: number;
}
interface Frozen {
  /** Every flag: kind, default, choices and range, as they were. */
  flags: Record<string, FrozenFlag>;
  recipes: Record<string, Settings>;
  oldFlags: { args: string[]; settings: Settings }[];
}
const file = new URL('../../test/fixtures/runs/resolved-recipes.json', import.meta.url);
const frozen: Frozen = JSON.parse(readFileSync(fileURLToPath(file), 'utf8'));
const flags = flagsOf(builtInParts);
const known = new Map(flags.map((flag) => [flag.name, flag]));

/** Where a run goes was a setting, and is none of the experiment's. */
const PLACES = ['name', 'runs-dir'];

/**
 * An experiment as it is compared. What a miner has to know of the loss (from where on a negative has none, and a semihard
 * one's margin) was written down with the miner; now null says that the loss is asked. For losses but the margin loss the
 * first was the sum of --beta and --margin, which are none of theirs; by default that is what they say themselves.
 */
function comparable(input: ExperimentInput): Experiment {
  const open = resolveExperiment(input);
  // As a run of it settles what it leaves open.
  const experiment = withDivision(
    open,
    usualDivision(open.divide, { classes: 0, epochs: open.train.epochs }),
  );
  const { loss, miner } = experiment;
  const asked: Record<string, unknown> = { ...miner };
  const isMarginLoss = 'name' in loss && loss.name === 'margin';
  if ('nonZeroLossCutoff' in miner && !isMarginLoss) delete asked.nonZeroLossCutoff;
  if ('margin' in miner) asked.margin ??= isMarginLoss ? loss.margin : usualBounds.semihardMargin();
  return { ...experiment, miner: asked } as Experiment;
}

it('of a loss that says nothing of its own, the distance is that which the flags came to', () => {
  const { beta, margin } = frozen.flags;
  expect(usualBounds.zeroLossDistance()).toBe(Number(beta!.default) + Number(margin!.default));
  expect(usualBounds.semihardMargin()).toBe(margin!.default);
});

const before = (settings: Settings) =>
  comparable(experimentOf(settings, 'resolved-recipes.json') as ExperimentInput);

const fill = (base: ExperimentInput, given: Record<string, string>) =>
  fillExperiment(base, given, flags, (unused) => {
    throw new Error(unused);
  });

describe('the recipes', () => {
  it('are those that there were, and these', () => {
    const since = ['cars', 'cub', 'inshop', 'sop'].map((name) => `vits-dino-${name}`);
    expect(recipeNames()).toEqual([...Object.keys(frozen.recipes), ...since].sort());
  });

  /** What a recipe starts from by now. */
  const others: Record<string, Record<string, string>> = {
    photos: { arch: 'tf_efficientnet_lite0.in1k', weights: 'published' },
  };

  it.each(Object.entries(frozen.recipes))('%s is the same experiment', (name, settings) => {
    // No recipe says where the data are.
    const isDrawn = String(settings.dataset).startsWith('emoji');
    const now = fill(readRecipe(name).experiment, isDrawn ? {} : { 'dataset-dir': '/data' });
    expect(comparable(now)).toEqual(before({ ...settings, 'dataset-dir': '/data', ...others[name] }));
  });
});

describe("the authors' flags", () => {
  it.each(frozen.oldFlags)('$args.0 $args.1 … are the same experiment', ({ args, settings }) => {
    const { args: translated } = translateDcesmlFlags(args, flags);
    const given: Record<string, string> = {};
    for (let i = 0; i < translated.length; i++) {
      const [name = '', value] = (translated[i] ?? '').replace(/^--/, '').split(/=(.*)/s);
      const text = value ?? translated[++i] ?? '';
      if (!PLACES.includes(name)) given[name] = text;
    }
    // What does nothing there does nothing here.
    const now = fillExperiment(asAuthors, given, flags, () => {});
    // These were for pretrained weights whatever there was, and could not train others.
    const atRandom: Settings = settings.weights === 'none' ? { bn: 'trained', lr: 0.001 } : {};
    expect(comparable(now)).toEqual(before({ ...settings, ...atRandom }));
  });
});

/** What makes a flag mean something, where that is not so from the start. */
const needs: Record<string, Settings> = {
  'dataset-dir': { dataset: 'cub' },
  'allow-partial': { dataset: 'cub', 'dataset-dir': '/data' },
  split: { dataset: 'folder', 'dataset-dir': '/data' },
  'train-fraction': { dataset: 'folder', 'dataset-dir': '/data', split: 'random' },
  widths: { arch: 'small-resnet' },
  soft: { loss: 'triplet' },
  average: { loss: 'snr' },
  alpha: { loss: 'npairs' },
  temperature: { loss: 'normalized-softmax' },
  'label-smoothing': { loss: 'normalized-softmax' },
  'pos-margin': { loss: 'contrastive' },
  'neg-margin': { loss: 'contrastive' },
  'squared-distances': { loss: 'triplet' },
  'snr-lambda': { loss: 'snr' },
  'angular-alpha': { loss: 'angular' },
  'angular-weight': { loss: 'angular' },
  'ms-pos-weight': { loss: 'multi-similarity' },
  'ms-neg-weight': { loss: 'multi-similarity' },
  'ms-margin': { loss: 'multi-similarity' },
  'ms-threshold': { loss: 'multi-similarity' },
  'histogram-bins': { loss: 'histogram' },
  'proxy-scale': { loss: 'proxy-nca' },
  'arcface-margin': { loss: 'arcface' },
  'arcface-scale': { loss: 'arcface' },
  'soft-triple-centres': { loss: 'soft-triple' },
  'soft-triple-scale': { loss: 'soft-triple' },
  'soft-triple-margin': { loss: 'soft-triple' },
  'soft-triple-gamma': { loss: 'soft-triple' },
  'soft-triple-tau': { loss: 'soft-triple' },
  'min-classes': { sampler: 'random' },
  'image-size': { resize: 300 },
  'lr-step': { 'lr-schedule': 'step' },
  'lr-gamma': { 'lr-schedule': 'step' },
  'lr-peak': { 'lr-schedule': 'one-cycle' },
  'divide-lr-schedule': { 'divide-lr': 0.002 },
};
const alsoOf: [name: string, settings: Settings][] = [
  ...['triplet', 'triplet-all', 'triplet-semihard', 'kantorov-margin', 'snr'].map(
    (loss): [string, Settings] => ['margin', { loss }],
  ),
  ['margin', { loss: 'contrastive', miner: 'hard-semihard' }],
  ['margin', { miner: 'easy-semihard' }],
  ['beta', { loss: 'kantorov-margin' }],
  ['soft', { loss: 'triplet-semihard' }],
  ['average', { loss: 'triplet' }],
  ['average', { loss: 'multi-similarity' }],
  ['miner-cutoff', { loss: 'kantorov-margin' }],
  ['miner-cutoff', { miner: 'easy-positive' }],
  ['adam-beta2', { optimizer: 'adamw' }],
  ['dataset-dir', { dataset: 'csv' }],
  ['lr-step', { 'divide-lr': 0.002, 'divide-lr-schedule': 'step' }],
  ['lr-peak', { 'divide-lr': 0.002, 'divide-lr-schedule': 'one-cycle' }],
];

const ofText: Record<string, string> = {
  'dataset-dir': '/data/there',
  split: 'random',
  widths: '4,8',
  weights: 'a.pth',
  'lr-courses': '6+h3',
  device: 'cuda:1',
  'best-by': 'NMI',
  wandb: 'birds',
  mlflow: 'http://127.0.0.1:5000',
};

/** Values that a flag could have. */
function valuesOf(name: string, { kind, choices, default: standard, min = 0, max = 4 }: FrozenFlag) {
  if (kind === 'choice') return choices!;
  if (kind === 'text') return [ofText[name]!];
  if (kind === 'integer') return [Number(standard ?? min) + (standard === max ? -1 : 1)];
  return [Math.min(max, Number(standard ?? 0) + 0.0625)];
}

describe('the flags that there were', () => {
  it.each(Object.entries(frozen.flags).filter(([name]) => !PLACES.includes(name)))(
    '--%s has its choices and default',
    (name, spec) => {
      const flag = known.get(name)!;
      if (spec.choices) {
        const isTruth = flag.kind === 'truth' && String(spec.choices) === 'yes,no';
        if (!isTruth) expect(flag.choices).toEqual(expect.arrayContaining(spec.choices));
        expect(Object.keys(flag.words)).toEqual(expect.arrayContaining(Object.keys(spec.aliases ?? {})));
      }
      // These depend on another field or the data now, where nothing is said: with weights, image size and learners as they were, they are
      // as they were.
      const depends = ['bn', 'lr', 'resize', 'num-learners', 'divide-from'];
      expect(flag.default).toBe(
        spec.default === null || depends.includes(name) ? null : String(spec.default),
      );
    },
  );

  const trials = [
    ...Object.keys(frozen.flags).map((name): [string, Settings] => [name, needs[name] ?? {}]),
    ...alsoOf,
  ].filter(([name]) => !PLACES.includes(name));
  it.each(trials)('--%s leads where it led, beside %j', (name, beside) => {
    const defaults = Object.fromEntries(
      Object.entries(frozen.flags).map(([flag, spec]) => [flag, spec.default]),
    );
    for (const value of valuesOf(name, frozen.flags[name]!)) {
      const learners: Settings = { 'num-learners': 4, 'divide-from': 0 };
      const asked: Settings = {
        weights: 'imagenet',
        dataset: 'emoji',
        ...learners,
        ...beside,
        [name]: value,
      };
      if (!String(asked.dataset).startsWith('emoji')) asked['dataset-dir'] ??= '/data';
      const texts = Object.fromEntries(Object.entries(asked).map(([flag, text]) => [flag, String(text)]));
      expect(comparable(fill({}, texts)), String(value)).toEqual(before({ ...defaults, ...asked }));
    }
  });
});

/** Flags since then, but for those of the options of parts, whose names follow from the part's. */
const since: string[] = [
  'accumulate',
  'activation-checkpointing',
  'chunk',
  'clip-norm',
  'cluster-sample',
  'drop-path',
  'ema-decay',
  'ema-warmup',
  'erase',
  'exclude',
  'freeze-below',
  'gem-power',
  'head',
  'image-size-epochs',
  'image-size-from',
  'kept-gigabytes',
  'kept-views',
  'layer-decay',
  'lr-last',
  'map',
  'memory-form',
  'memory-momentum',
  'prefixes',
  'prefix-weights',
  'shard-image',
  'shard-label',
  'memory-size',
  'memory-start',
  'memory-weight',
  'metrics',
  'min-area',
  'neck',
  'precision',
  'tuning',
  'warmup-from',
];

describe('all flags', () => {
  const followsFromPart = ({ name, targets }: Flag) =>
    targets.every(({ part }) => part !== null && name.startsWith(`${part}-`));

  it('are those there were, and these', () => {
    const names = flags.filter((flag) => !followsFromPart(flag)).map(({ name }) => name);
    const expected = Object.keys(frozen.flags).filter(
      (name) => !PLACES.includes(name) && !followsFromPart(known.get(name)!),
    );
    expect(names.sort()).toEqual([...expected, ...since].sort());
  });
});
