import { UserError } from '@conquer-dml/run';
import type { ExperimentInput } from '../experiment/experiment.js';
import type { Flag } from './flags.js';

/** What goes without saying where there are old flags: weights of ImageNet whatever they say, and division from the first epoch on. */
export const asAuthors: ExperimentInput = {
  model: { weights: 'imagenet' },
  divide: { numLearners: 4, divideFrom: 0 },
};

/** The settings that an old flag's value stands for; [] where it has no effect here. */
type Meaning = (value: string) => [name: string, value: string][];

const same =
  (name: string): Meaning =>
  (value) => [[name, value]];

const choice =
  (name: string, choices: Record<string, string>): Meaning =>
  (value) => {
    const found = Object.hasOwn(choices, value) ? choices[value] : undefined;
    if (found === undefined)
      throw new UserError(
        `expected one of ${Object.keys(choices).join(', ')} (for --${name}), got '${value}'`,
      );
    return [[name, found]];
  };

const truths: Record<string, boolean> = {
  ...Object.fromEntries(['1', 'true', 'yes', 't', 'y'].map((word) => [word, true])),
  ...Object.fromEntries(['0', 'false', 'no', 'f', 'n'].map((word) => [word, false])),
};
const yesOrNo =
  (name: string, yes = 'yes', no = 'no'): Meaning =>
  (value) => {
    const word = value.toLowerCase();
    const truth = Object.hasOwn(truths, word) ? truths[word] : undefined;
    if (truth === undefined) throw new UserError(`expected 0 or 1 (for --${name}), got '${value}'`);
    return [[name, truth ? yes : no]];
  };
const noEffect: Meaning = () => [];

const miners = {
  distanceweighted: 'distance-weighted',
  easypeasy: 'easy-positive',
  HPHN: 'HPHN',
  EPHN: 'EPHN',
  EPSHN: 'EPSHN',
  HPSHN: 'HPSHN',
  RPSHN: 'RPSHN',
  RPHN: 'RPHN',
};

/** `--init-method xavier_normal_0.5` and the like. */
const embeddingInit: Meaning = (value) => {
  const gain = /^xavier_(uniform|normal)_([\d.]+)$/.exec(value);
  if (gain)
    return [
      ['embedding-init', `xavier-${gain[1]}`],
      ['embedding-init-gain', gain[2] ?? '1'],
      ['embedding-init-split', 'yes'],
    ];
  if (value === 'trunc_normal') return [['embedding-init', 'truncated-normal']];
  if (value === 'pt_splitted') return [['embedding-init-split', 'yes']];
  const fan = /^kaiming_normal_fan_(in|out)$/.exec(value);
  if (fan)
    return [
      ['embedding-init', `kaiming-fan-${fan[1]}`],
      ['embedding-init-split', 'yes'],
    ];
  throw new UserError(
    `expected xavier_uniform_GAIN, xavier_normal_GAIN, kaiming_normal_fan_in, kaiming_normal_fan_out, trunc_normal or pt_splitted, got '${value}'`,
  );
};

/** dcesml's flags that have another name here, or other values. docs/migrating.md is this table for people. */
export const dcesmlFlags: Record<string, Meaning> = {
  experiment: noEffect,
  // Theirs are torchvision's and one of their own; a name of timm's has underscores.
  arch: (value) => [['arch', value === 'bn_inception' ? 'bn-inception' : value]],
  criterion: choice('loss', {
    MarginLoss: 'margin',
    KantorovMarginLoss: 'kantorov-margin',
    TripletSemihardLoss: 'triplet-semihard',
    TripletAllLoss: 'triplet-all',
    TripletLoss: 'triplet',
    NPairsLoss: 'npairs',
  }),
  optimizer: choice('optimizer', { Adam: 'adam', AdamW: 'adamw', adam: 'adam', adamw: 'adamw' }),
  'nb-clusters': same('num-learners'),
  'nb-epochs': same('epochs'),
  'num-samples-per-class': same('samples-per-class'),
  'num-replicas': same('replicas'),
  'sz-resize': same('resize'),
  'sz-crop': same('image-size'),
  'sz-embedding': same('embedding-dim'),
  'cuda-device': (value) => [['device', `cuda:${value}`]],
  'penultimate-for-clusters': yesOrNo('cluster-layer', 'penultimate', 'final'),
  i: same('name'),
  'experiment-id': same('name'),
  seed: same('seed'),
  'random-seed': same('seed'),
  // Drawing a seed for each division is the default here.
  crs: noEffect,
  'clustering-random-state': noEffect,
  'batch-sampler': choice('sampler', {
    adaptbalanced: 'adaptive',
    balanced_old: 'class-balanced',
    npairs: 'npairs',
    randombatch: 'random',
  }),
  'base-lr': same('lr'),
  'emb-lr-mult': same('embedding-lr-mult'),
  // A learned beta is one a class there.
  'lr-beta': (value) => [
    ['loss-lr', value],
    ['beta-per-class', Number(value) > 0 ? 'yes' : 'no'],
  ],
  'lr-alpha': same('loss-lr'),
  'hierarchy-method': choice('hierarchy', { none: 'none', top_bot: 'top-down', bot_top: 'bottom-up' }),
  'mask-relu': yesOrNo('mask-relu'),
  'fixed-mask': yesOrNo('masks', 'fixed', 'learned'),
  'masking-init': same('mask-init'),
  'masking-lambda': same('mask-lambda'),
  'masks-freeze-one-cluster': yesOrNo('freeze-masks-with-one-learner'),
  'masks-sum-for-full-emb': yesOrNo('full-embedding-masks', 'sum', 'none'),
  'masks-normalize-before-sum': choice('full-embedding-masks', { l1: 'sum-l1' }),
  'ratio-classes': same('class-ratio'),
  'init-clusters': same('start-learners'),
  'init-method': embeddingInit,
  album: choice('augmentation', { Geom: 'geom', GeomColor: 'geom-color', ColorHeavy: 'color-heavy' }),
  'log-dir': same('runs-dir'),
  'num-workers': noEffect,
  backend: noEffect,
  'reset-learners-fix': noEffect,
  'save-model': noEffect,
  'save-masks': noEffect,
  'clustering-method': same('clustering'),
  // Infinity, the default there, switches the steps off.
  'lr-step': (value) => (/^[+]?inf(inity)?$/i.test(value) ? [] : [['lr-step', value]]),
  checkpoint: () => {
    throw new UserError(
      `checkpoints of the authors' code are not taken; --resume RUN goes on with a run of this program, --weights FILE starts with the backbone of a .pth or .safetensors file`,
    );
  },
};

/** Old flags that take no value. */
export const dcesmlSwitches: Record<string, [name: string, value: string][]> = {
  'soft-loss': [['soft', 'yes']],
  'stop-recluster': [['stop-recluster', 'yes']],
  'with-l1': [],
  'is-debug': [],
  verbose: [],
  // The project that is written into the authors' code.
  'wandb-enabled': [['wandb', 'DivideAndConquer']],
};

export interface TranslatedFlags {
  /** The arguments as this program has them. */
  args: string[];
  /** The flags, as they were given, that only the authors' code has. */
  old: string[];
}

/** @throws UserError that names the flag as it was given */
function meaningOf(arg: string, meaning: Meaning, value: string): ReturnType<Meaning> {
  try {
    return meaning(value);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${arg.replace(/=.*/s, '')}: ${error.message}`);
  }
}

/**
 * Translates the flags of dcesml's train.py in the arguments of `conquer train` to this program's; everything
 * else stays as it is. `-seed=4` and `--nb_epochs 3` are understood too, as argparse does.
 *
 * `--sampler` is the miner there and the batch sampler here: its value tells which is meant.
 *
 * @throws UserError for a value that the flag cannot have
 */
export function translateDcesmlFlags(
  args: readonly string[],
  flags: readonly Pick<Flag, 'name'>[],
): TranslatedFlags {
  // Where a run goes is no part of the experiment.
  const known = new Set([...flags.map(({ name }) => name), 'name', 'runs-dir']);
  const result: string[] = [];
  const old: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(arg);
    const name = match?.[1]?.replaceAll('_', '-') ?? '';
    const single = !arg.startsWith('--');
    const values = () => match?.[2] ?? args[++i];
    if (!match || (single && !['i', 'seed', 'crs'].includes(name))) {
      result.push(arg);
    } else if (
      Object.hasOwn(dcesmlSwitches, name) &&
      !(name === 'stop-recluster' && ['yes', 'no'].includes(match[2] ?? args[i + 1] ?? ''))
    ) {
      if (!known.has(name)) old.push(arg);
      for (const [option, value] of dcesmlSwitches[name] ?? []) result.push(`--${option}`, value);
    } else if (name === 'sampler' && Object.hasOwn(miners, match[2] ?? args[i + 1] ?? '')) {
      old.push(arg);
      result.push('--miner', miners[values() as keyof typeof miners]);
    } else if (name === 'experiment' && /\.json$/.test(match[2] ?? args[i + 1] ?? '')) {
      result.push(arg); // a file is this program's
    } else if (Object.hasOwn(dcesmlFlags, name)) {
      if (single || !known.has(name)) old.push(arg);
      const value = values();
      if (value === undefined) throw new UserError(`${arg}: expected a value`);
      for (const [option, text] of meaningOf(arg, dcesmlFlags[name] as Meaning, value))
        result.push(`--${option}`, text);
    } else {
      result.push(arg);
    }
  }
  return { args: result, old };
}
