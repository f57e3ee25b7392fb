import { didYouMean, type Settings, UserError } from '@conquer/run';
import { datasetNames } from '../datasets/open.js';
import { embeddingInitKinds } from '../models/embedding-init.js';
import { modelNames } from '../models/open.js';
import { smallClassActions } from '../samplers/adaptive.js';
import { lossOptions } from './loss-options.js';

interface OptionOf<Kind extends string, Value> {
  kind: Kind;
  /** null: not set. */
  default: Value | null;
  help: string;
  group: string;
}
interface NumberOption<Kind extends string> extends OptionOf<Kind, number> {
  min?: number;
  max?: number;
}
interface ChoiceOption extends OptionOf<'choice', string> {
  choices: readonly string[];
  /** What the option means when it is given without a value. */
  bare?: string;
  /** Other names of choices, in lower case; whatever case they are given in. */
  aliases?: Readonly<Record<string, string>>;
}
export type OptionSpec =
  | OptionOf<'text', string>
  | NumberOption<'integer'>
  | NumberOption<'number'>
  | ChoiceOption;

const learningRateSchedules = ['constant', 'step', 'cosine', 'one-cycle'] as const;

const DATA = 'Data';
const MODEL = 'Model';
const DIVISION = 'Division';
const LOSS = 'Loss and miner';
const BATCHES = 'Batches and images';
const OPTIMISER = 'Optimiser';
const RUN = 'Run';

/** Every setting of a training run: the options of `conquer train`, the keys of a recipe and of config.json. */
export const trainOptions = {
  dataset: { group: DATA, kind: 'choice', choices: datasetNames, default: null, help: 'what to train on' },
  'dataset-dir': {
    group: DATA,
    kind: 'text',
    default: null,
    help: "for folder: a subfolder of images per class; for csv: the file; else the data set's own folder, or the one it lies in",
  },
  'allow-partial': {
    group: DATA,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    bare: 'yes',
    help: 'train on what is there of a published data set that is not whole',
  },
  split: {
    group: DATA,
    kind: 'text',
    default: 'half',
    help: 'for folder, and for csv without a split column, the training classes: half (the first half by name), random, or a file that lists them',
  },
  'train-fraction': {
    group: DATA,
    kind: 'number',
    default: 0.5,
    min: 0.01,
    max: 0.99,
    help: 'with --split random: share of the classes to train on',
  },
  'train-on': {
    group: DATA,
    kind: 'choice',
    choices: ['split', 'all'],
    default: 'split',
    help: 'the training classes of the split, or all classes there are: for the model that goes live; then nothing is measured',
  },
  'class-ratio': {
    group: DATA,
    kind: 'number',
    default: 1,
    min: 0.001,
    max: 1,
    help: 'share of the classes to train and test on',
  },
  'val-fraction': {
    group: DATA,
    kind: 'number',
    default: 0,
    min: 0,
    max: 0.9,
    help: 'share of the training classes to set aside; the best epoch is chosen on them instead of on the test classes',
  },

  arch: { group: MODEL, kind: 'choice', choices: modelNames, default: 'resnet50', help: 'backbone' },
  widths: {
    group: MODEL,
    kind: 'text',
    default: '32,64,128,256',
    help: 'for small-resnet: channels of the stages',
  },
  weights: {
    group: MODEL,
    kind: 'text',
    default: null,
    help:
      "weights to start the backbone with: imagenet (torchvision's, fetched once), a file of PyTorch's or safetensors " +
      'with its names (docs/weights.md), or none: drawn at random',
  },
  bn: {
    group: MODEL,
    kind: 'choice',
    choices: ['frozen', 'trained'],
    default: 'frozen',
    help: 'running statistics of BatchNorm',
  },
  'features-pooling': {
    group: MODEL,
    kind: 'choice',
    choices: ['avg', 'max'],
    default: 'avg',
    help: 'pooling of the last feature maps',
  },
  'features-dropout': {
    group: MODEL,
    kind: 'number',
    default: 0.01,
    min: 0,
    max: 0.99,
    help: 'dropout of the penultimate features',
  },
  'embedding-dim': {
    group: MODEL,
    kind: 'integer',
    default: 512,
    min: 2,
    help: 'dimensions of the embedding',
  },
  'embedding-init': {
    group: MODEL,
    kind: 'choice',
    choices: embeddingInitKinds,
    default: 'default',
    help: "how the embedding's weights are drawn (default: as PyTorch does)",
  },
  'embedding-init-gain': {
    group: MODEL,
    kind: 'number',
    default: 1,
    min: 1e-6,
    help: 'embedding-init xavier-uniform and xavier-normal: factor of the deviation',
  },
  'embedding-init-split': {
    group: MODEL,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: "draw each of --num-learners learners' share of the embedding as a layer of its own",
  },

  'num-learners': {
    group: DIVISION,
    kind: 'integer',
    default: 4,
    min: 1,
    help: 'learners in the end, a power of two; 1: no division',
  },
  hierarchy: {
    group: DIVISION,
    kind: 'choice',
    choices: ['top-down', 'bottom-up', 'none'],
    default: 'top-down',
    help: 'double the learners from one on, halve them down to one, or have all throughout',
  },
  'start-learners': {
    group: DIVISION,
    kind: 'integer',
    default: 1,
    min: 1,
    max: 2,
    help: 'top-down: learners in the beginning',
  },
  'mod-epoch': {
    group: DIVISION,
    kind: 'integer',
    default: 2,
    min: 1,
    help: 'redivide every so many epochs',
  },
  'divide-from': {
    group: DIVISION,
    kind: 'integer',
    default: 0,
    min: 0,
    help: 'epochs that one learner trains before the first division; the divisions are counted from there',
  },
  'mod-epoch-freeze': {
    group: DIVISION,
    kind: 'integer',
    default: 0,
    min: 0,
    help: 'epochs after a redivision in which the backbone is frozen',
  },
  'force-full-embedding-epoch': {
    group: DIVISION,
    kind: 'integer',
    default: null,
    min: 0,
    help: 'from this epoch on train the whole embedding, without masks',
  },
  'stop-recluster': {
    group: DIVISION,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: 'no more divisions or frozen backbones once there are as many learners as there will be',
  },
  clustering: {
    group: DIVISION,
    kind: 'choice',
    choices: ['kmeans', 'adaptive-centroids'],
    default: 'kmeans',
    aliases: { kmeans_adaptive_centroids: 'adaptive-centroids' },
    help: 'start k-means anew each time, or at the centroids of the clusters there are',
  },
  recluster: {
    group: DIVISION,
    kind: 'choice',
    choices: ['reassign', 'reset', 'random'],
    default: 'reassign',
    help: 'learner of a new cluster: who has seen most of it, as k-means numbers them, or any',
  },
  'cluster-seed': {
    group: DIVISION,
    kind: 'integer',
    default: null,
    min: 0,
    help: 'seed of every division (default: drawn for each, from --seed)',
  },
  'cluster-by': {
    group: DIVISION,
    kind: 'choice',
    choices: ['image', 'class'],
    default: 'image',
    help: 'cluster images, or whole classes by the mean of their features: all images of a class to one learner',
  },
  'cluster-layer': {
    group: DIVISION,
    kind: 'choice',
    choices: ['penultimate', 'final'],
    default: 'penultimate',
    help: 'features that are clustered',
  },
  masks: {
    group: DIVISION,
    kind: 'choice',
    choices: ['learned', 'fixed'],
    default: 'learned',
    help: 'masks of the learners',
  },
  'mask-init': {
    group: DIVISION,
    kind: 'choice',
    choices: ['ones', 'normal'],
    default: 'ones',
    help: 'first mask: ones, or drawn from N(0.9, 0.7)',
  },
  'mask-relu': {
    group: DIVISION,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'yes',
    help: 'count negative mask entries as 0',
  },
  'freeze-masks-with-one-learner': {
    group: DIVISION,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: 'do not train the mask while there is one learner',
  },
  'full-embedding-masks': {
    group: DIVISION,
    kind: 'choice',
    choices: ['none', 'sum', 'sum-l1'],
    default: 'none',
    help: 'mask of the whole embedding, in evaluation and full-embedding training: the sum of all, or of all scaled to sum 1',
  },
  'mask-lambda': {
    group: DIVISION,
    kind: 'number',
    default: 0.01,
    min: 0,
    help: 'weight of the loss that keeps masks apart',
  },

  loss: {
    group: LOSS,
    kind: 'choice',
    choices: [
      'margin',
      'triplet',
      'triplet-all',
      'triplet-semihard',
      'npairs',
      'kantorov-margin',
      'contrastive',
      'snr',
      'mc-npair',
      'angular',
      'multi-similarity',
      'histogram',
      'proxy-nca',
      'normalized-softmax',
      'arcface',
      'soft-triple',
    ],
    default: 'margin',
    help: 'metric loss',
  },
  margin: {
    group: LOSS,
    kind: 'number',
    default: 0.2,
    min: 0,
    help: 'margin of the margin, triplet and snr losses, and of semihard negatives',
  },
  soft: {
    group: LOSS,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: 'triplet, triplet-semihard: log(1 + exp(d_ap - d_an)) instead of the hinge with the margin',
  },
  average: {
    group: LOSS,
    kind: 'choice',
    choices: ['non-zero', 'all'],
    default: null,
    help: 'mean over what has a loss, or over all: triplet, snr (tuples; non-zero), multi-similarity (anchors; all)',
  },
  alpha: {
    group: LOSS,
    kind: 'number',
    default: 1,
    help: 'npairs: scale of the similarities; learned with --loss-lr',
  },
  beta: {
    group: LOSS,
    kind: 'number',
    default: 1.2,
    help: 'margin losses: boundary between positives and negatives; margin: learned with --loss-lr',
  },
  'beta-per-class': {
    group: LOSS,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: 'margin loss: a boundary for each class',
  },
  nu: { group: LOSS, kind: 'number', default: 0, min: 0, help: 'margin loss: weight of the L1 norm of beta' },
  temperature: {
    group: LOSS,
    kind: 'number',
    default: 0.05,
    min: 1e-6,
    help: 'normalised softmax: temperature',
  },
  'label-smoothing': {
    group: LOSS,
    kind: 'number',
    default: 0,
    min: 0,
    max: 0.99,
    help: 'normalised softmax: share of the target spread over all classes',
  },
  ...lossOptions,
  miner: {
    group: LOSS,
    kind: 'choice',
    choices: [
      'distance-weighted',
      'easy-positive',
      'random-random',
      'random-semihard',
      'random-hard',
      'easy-random',
      'easy-semihard',
      'easy-hard',
      'hard-random',
      'hard-semihard',
      'hard-hard',
    ],
    aliases: {
      distanceweighted: 'distance-weighted',
      easypeasy: 'easy-positive',
      hphn: 'hard-hard',
      hpshn: 'hard-semihard',
      ephn: 'easy-hard',
      epshn: 'easy-semihard',
      rphn: 'random-hard',
      rpshn: 'random-semihard',
    },
    default: 'distance-weighted',
    help: 'which tuples of a batch train; for one triplet an anchor: POSITIVE-NEGATIVE (also HPHN, EPSHN, …)',
  },
  'miner-cutoff': {
    group: LOSS,
    kind: 'number',
    default: 0.5,
    min: 0,
    help: 'distance-weighted: distances below count as this; easy-positive, kantorov-margin: no negatives nearer',
  },

  sampler: {
    group: BATCHES,
    kind: 'choice',
    choices: ['adaptive', 'class-balanced', 'npairs', 'random'],
    default: 'adaptive',
    help: 'which images make a batch',
  },
  'small-class-action': {
    group: BATCHES,
    kind: 'choice',
    choices: smallClassActions,
    default: 'sample_other',
    help: 'adaptive sampler: what a small class does',
  },
  'batch-size': { group: BATCHES, kind: 'integer', default: 80, min: 2, help: 'images a batch' },
  'samples-per-class': {
    group: BATCHES,
    kind: 'integer',
    default: 4,
    min: 1,
    help: 'images of each class in a batch; 2 makes pairs',
  },
  'min-classes': {
    group: BATCHES,
    kind: 'integer',
    default: 2,
    min: 2,
    help: 'random sampler: least number of classes in a batch',
  },
  replicas: {
    group: BATCHES,
    kind: 'integer',
    default: 1,
    min: 1,
    help: 'times each image is in its batch, augmented anew',
  },
  'passes-per-epoch': {
    group: BATCHES,
    kind: 'integer',
    default: 1,
    min: 1,
    help: 'times an epoch goes through the training set',
  },
  'image-size': {
    group: BATCHES,
    kind: 'integer',
    default: 224,
    min: 8,
    help: 'side of the images the network sees, in pixels',
  },
  resize: {
    group: BATCHES,
    kind: 'integer',
    default: 256,
    min: 8,
    help: 'short side before the centre crop, in pixels',
  },
  augmentation: {
    group: BATCHES,
    kind: 'choice',
    choices: ['standard', 'geom', 'geom-color', 'color-heavy', 'icons', 'none'],
    default: 'standard',
    help: 'of training images; geom, geom-color, color-heavy: more than standard, as in table 5 of the paper',
  },
  cache: {
    group: BATCHES,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    help: 'decode every image once, reduced to --resize, and keep the pixels',
  },
  'on-bad-image': {
    group: BATCHES,
    kind: 'choice',
    choices: ['fail', 'skip'],
    default: 'fail',
    help: 'an image that cannot be read ends the run; or another of its class takes its place, for up to 5 % of all',
  },

  epochs: { group: OPTIMISER, kind: 'integer', default: 100, min: 1, help: 'epochs' },
  optimizer: {
    group: OPTIMISER,
    kind: 'choice',
    choices: ['adam', 'adamw', 'sgd'],
    default: 'adam',
    help: 'optimiser',
  },
  lr: {
    group: OPTIMISER,
    kind: 'number',
    default: 1e-5,
    min: 0,
    help: 'learning rate of backbone and embedding',
  },
  'embedding-lr-mult': {
    group: OPTIMISER,
    kind: 'number',
    default: 1,
    min: 0,
    help: 'learning rate of the embedding, times --lr',
  },
  'mask-lr-mult': {
    group: OPTIMISER,
    kind: 'number',
    default: 100,
    min: 0,
    help: 'learning rate of learned masks, times --lr',
  },
  'loss-lr': {
    group: OPTIMISER,
    kind: 'number',
    default: 0,
    min: 0,
    help: "learning rate of the loss's own parameters (beta, class weights)",
  },
  'adam-beta2': {
    group: OPTIMISER,
    kind: 'number',
    default: 0.999,
    min: 0,
    max: 0.999999,
    help: 'decay of the second moments of Adam',
  },
  'weight-decay': {
    group: OPTIMISER,
    kind: 'number',
    default: 1e-4,
    min: 0,
    help: 'weight decay of backbone and embedding',
  },
  'decay-vectors': {
    group: OPTIMISER,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'yes',
    help: 'weight decay of biases and BatchNorm too',
  },
  'mask-wd-mult': {
    group: OPTIMISER,
    kind: 'number',
    default: 1,
    min: 0,
    help: 'weight decay of learned masks, times --weight-decay',
  },
  'lr-schedule': {
    group: OPTIMISER,
    kind: 'choice',
    choices: learningRateSchedules,
    default: 'constant',
    help: 'course of the learning rates',
  },
  'lr-step': {
    group: OPTIMISER,
    kind: 'integer',
    default: 30,
    min: 1,
    help: 'schedule step: epochs between steps',
  },
  'lr-gamma': {
    group: OPTIMISER,
    kind: 'number',
    default: 0.3,
    min: 0,
    help: 'schedule step: factor of a step',
  },
  'lr-peak': {
    group: OPTIMISER,
    kind: 'number',
    default: 0.3,
    min: 0,
    max: 1,
    help: 'schedule one-cycle: share of the training before the peak',
  },
  'lr-after': {
    group: OPTIMISER,
    kind: 'choice',
    choices: ['restart', 'hold', 'stretch'],
    default: null,
    help: 'what a schedule with an end does in epochs that --resume adds: once more, its last rate, or laid out anew',
  },
  'lr-courses': {
    group: OPTIMISER,
    kind: 'text',
    default: null,
    help: 'epochs of each course of a schedule with an end: 10+4; 10+h4 holds the last rate (default: one, of all epochs)',
  },
  'divide-lr': {
    group: OPTIMISER,
    kind: 'number',
    default: null,
    min: 0,
    help: 'with --divide-from: learning rate at which the divided training starts, with a schedule of its own (default: the one there is goes on)',
  },
  'divide-lr-schedule': {
    group: OPTIMISER,
    kind: 'choice',
    choices: learningRateSchedules,
    default: 'cosine',
    help: 'with --divide-lr: course of the learning rates from the first division on',
  },
  'warmup-epochs': {
    group: OPTIMISER,
    kind: 'number',
    default: 0,
    min: 0,
    help: 'epochs in which the learning rates rise from a third',
  },

  name: {
    group: RUN,
    kind: 'text',
    default: null,
    help: 'name of the run (default: data set, model and time)',
  },
  'runs-dir': { group: RUN, kind: 'text', default: 'runs', help: 'folder of the run folders' },
  seed: { group: RUN, kind: 'integer', default: 1, min: 0, help: 'of everything that is drawn' },
  device: { group: RUN, kind: 'text', default: 'cpu', help: 'cpu, or cuda:0, cuda:1, …' },
  threads: {
    group: RUN,
    kind: 'integer',
    default: null,
    min: 1,
    max: 1024,
    help: 'CPU threads of an operator (default: OMP_NUM_THREADS, else one a core)',
  },
  'best-by': {
    group: RUN,
    kind: 'text',
    default: 'R@1',
    help: 'metric by which the best epoch is chosen: R@1, R@2, … (those that are reported), MAP@R, mARP or NMI',
  },
  'evaluate-untrained': {
    group: RUN,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'yes',
    help: 'evaluate before the first epoch, to see later what training brought',
  },
  'on-nan': {
    group: RUN,
    kind: 'choice',
    choices: ['stop', 'skip'],
    default: 'stop',
    help: 'when a loss or gradient is NaN or infinite: stop, or leave out the batch (10 in a row, 1 % of an epoch)',
  },
  tensorboard: {
    group: RUN,
    kind: 'choice',
    choices: ['yes', 'no'],
    default: 'no',
    bare: 'yes',
    help: "write event files of TensorBoard into the run's folder",
  },
  wandb: {
    group: RUN,
    kind: 'text',
    default: null,
    help: 'follow the run on Weights & Biases: PROJECT or ENTITY/PROJECT; needs WANDB_API_KEY',
  },
  mlflow: {
    group: RUN,
    kind: 'text',
    default: null,
    help: 'follow the run on the MLflow server at this address, such as http://localhost:5000',
  },
  compat: {
    group: RUN,
    kind: 'choice',
    choices: ['dcesml', 'revisiting-dml'],
    default: null,
    help: "do as the authors' code where it differs from the paper, or as the Revisiting collection (margin, arcface)",
  },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof trainOptions;

type ValueOf<Spec> = Spec extends { kind: 'integer' | 'number' }
  ? number
  : Spec extends { choices: readonly (infer Choice)[] }
    ? Choice
    : string;

/** The resolved settings; those without a default may be null. */
export type TrainSettings = {
  [Name in OptionName]: (typeof trainOptions)[Name]['default'] extends null
    ? ValueOf<(typeof trainOptions)[Name]> | null
    : ValueOf<(typeof trainOptions)[Name]>;
};

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(trainOptions, name);
}

/** Whether the backbone's weights are drawn: nothing, or `none`, was said about them. */
export function startsAtRandom({ weights }: Pick<TrainSettings, 'weights'>): boolean {
  return weights === null || weights === 'none';
}

/**
 * Checks one value, from the command line (text) or a recipe (JSON).
 *
 * @throws UserError that says what was expected.
 */
export function parseOption(name: OptionName, value: unknown): string | number | null {
  const spec: OptionSpec = trainOptions[name];
  // What is not set can only be said of what need not be.
  if (value === null && spec.default === null) return null;
  switch (spec.kind) {
    case 'text':
      if (typeof value === 'string' && value !== '') return value;
      throw new UserError(`--${name}: expected text, got ${JSON.stringify(value)}`);
    case 'choice':
      if (typeof value === 'string') {
        if (spec.choices.includes(value)) return value;
        const alias = Object.entries(spec.aliases ?? {}).find(([name]) => name === value.toLowerCase());
        if (alias) return alias[1];
      }
      throw new UserError(
        `--${name}: expected one of ${spec.choices.join(', ')}, got ${JSON.stringify(value)}` +
          didYouMean(String(value), spec.choices),
      );
    default: {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = spec;
      const whole = spec.kind === 'integer';
      if (typeof number === 'number' && number >= min && number <= max && Number.isFinite(number)) {
        if (!whole || Number.isSafeInteger(number)) return number;
      }
      const bounds = [
        Number.isFinite(min) && `at least ${min}`,
        Number.isFinite(max) && `at most ${max}`,
      ].filter(Boolean);
      const range = bounds.length > 0 ? ` of ${bounds.join(' and ')}` : '';
      throw new UserError(
        `--${name}: expected ${whole ? 'an integer' : 'a number'}${range}, got ${JSON.stringify(value)}`,
      );
    }
  }
}

/** Defaults, overridden by a recipe, overridden by flags. @throws UserError for unknown or wrong values. */
export function resolveSettings(...layers: Record<string, unknown>[]): TrainSettings {
  const settings: Settings = {};
  for (const [name, spec] of Object.entries(trainOptions)) settings[name] = spec.default;
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer)) {
      if (!isOptionName(name))
        throw new UserError(
          `unknown setting '${name}'${didYouMean(name, Object.keys(trainOptions))}: conquer train --help-all lists them`,
        );
      settings[name] = parseOption(name, value);
    }
  }
  return settings as TrainSettings;
}

/** A line for each setting: its value and where it is from, the last of `layers` that has it, or the default. */
export function describeSettings(
  settings: TrainSettings,
  layers: Record<string, Record<string, unknown>>,
): string {
  const lines = Object.entries(settings).map(([name, value]) => {
    const from = Object.keys(layers).findLast((layer) => name in (layers[layer] ?? {})) ?? 'default';
    return `${`--${name}`.padEnd(30)} ${String(value ?? '-').padEnd(24)} ${from}\n`;
  });
  return lines.join('');
}
