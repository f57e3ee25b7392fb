import type { Json } from '../json.js';
import type { Fields } from '../records/fields.js';
import type { StoredExperiment } from './stored-experiment.js';

// The dialect of the command line's config.json before format 3: the long names of the options, side by side, with yes and
// no for true and false. Those of parts that were not chosen stand there too, and are left behind.

type Meaning = [path: string, value: Json | undefined];

export const isCommandLineDialect = (fields: Fields) => 'num-learners' in fields || 'dataset' in fields;

const truth = (value: unknown): boolean | undefined =>
  value === 'yes' ? true : value === 'no' ? false : undefined;

/** The fields that only have another name now. */
const plain: Record<string, string> = {
  'train-on': 'data.trainOn',
  'class-ratio': 'data.classRatio',
  'val-fraction': 'data.validationFraction',
  'image-size': 'data.imageSize',
  resize: 'data.resize',
  augmentation: 'data.augmentation.name',
  'on-bad-image': 'data.onBadImage',
  sampler: 'data.sampler.name',
  'batch-size': 'data.batchSize',
  'samples-per-class': 'data.samplesPerClass',
  replicas: 'data.replicas',
  'passes-per-epoch': 'data.passesPerEpoch',
  arch: 'model.backbone.name',
  bn: 'model.batchNorm',
  'features-pooling': 'model.pooling',
  'features-dropout': 'model.dropout',
  'embedding-dim': 'model.embeddingDim',
  'embedding-init': 'model.embeddingInit.kind',
  'embedding-init-gain': 'model.embeddingInit.gain',
  masks: 'model.masks.kind',
  'mask-init': 'model.masks.initialisation',
  'full-embedding-masks': 'model.fullEmbeddingMasks',
  'num-learners': 'divide.numLearners',
  hierarchy: 'divide.hierarchy',
  'start-learners': 'divide.startLearners',
  'mod-epoch': 'divide.modEpoch',
  'divide-from': 'divide.divideFrom',
  'mod-epoch-freeze': 'divide.modEpochFreeze',
  'force-full-embedding-epoch': 'divide.forceFullEmbeddingEpoch',
  clustering: 'divide.clustering',
  recluster: 'divide.recluster',
  'cluster-seed': 'divide.clusterSeed',
  'cluster-by': 'divide.clusterBy',
  'cluster-layer': 'divide.clusterLayer',
  'mask-lambda': 'divide.maskLambda',
  epochs: 'train.epochs',
  seed: 'train.seed',
  device: 'train.device',
  threads: 'train.threads',
  'on-nan': 'train.onNan',
  optimizer: 'optimize.optimizer.name',
  'adam-beta2': 'optimize.optimizer.beta2',
  lr: 'optimize.learningRate',
  'embedding-lr-mult': 'optimize.embeddingLearningRateMultiplier',
  'mask-lr-mult': 'optimize.maskLearningRateMultiplier',
  'loss-lr': 'optimize.lossLearningRate',
  'weight-decay': 'optimize.weightDecay',
  'mask-wd-mult': 'optimize.maskWeightDecayMultiplier',
  'warmup-epochs': 'optimize.warmupEpochs',
  'lr-after': 'optimize.afterEnd',
  'lr-courses': 'optimize.courses',
  'best-by': 'evaluate.bestBy',
  compat: 'compat',
};

/** The fields that were yes or no. */
const truths: Record<string, string> = {
  cache: 'data.cache',
  'embedding-init-split': 'model.embeddingInit.split',
  'mask-relu': 'model.masks.relu',
  'stop-recluster': 'divide.stopRecluster',
  'freeze-masks-with-one-learner': 'divide.freezeMasksWithOneLearner',
  'decay-vectors': 'optimize.decayVectors',
  'evaluate-untrained': 'evaluate.untrained',
};

/** The options of each loss by what they were called. */
const lossOptions: Record<string, Record<string, string>> = {
  margin: { margin: 'margin', beta: 'beta', nu: 'nu', 'beta-per-class': 'betaPerClass' },
  triplet: {
    margin: 'margin',
    soft: 'soft',
    'squared-distances': 'squared',
    average: 'averageNonZeroOnly',
  },
  'triplet-all': { margin: 'margin' },
  'triplet-semihard': { margin: 'margin', soft: 'soft' },
  npairs: { alpha: 'alpha' },
  'kantorov-margin': { margin: 'alpha', beta: 'beta', 'miner-cutoff': 'distanceThreshold' },
  contrastive: { 'pos-margin': 'posMargin', 'neg-margin': 'negMargin' },
  snr: { margin: 'margin', 'snr-lambda': 'regLambda', average: 'averageNonZeroOnly' },
  'mc-npair': {},
  angular: { 'angular-alpha': 'alphaDegrees', 'angular-weight': 'angularWeight' },
  'multi-similarity': {
    'ms-pos-weight': 'posWeight',
    'ms-neg-weight': 'negWeight',
    'ms-margin': 'margin',
    'ms-threshold': 'threshold',
    average: 'averageNonZeroOnly',
  },
  histogram: { 'histogram-bins': 'numBins' },
  'proxy-nca': { 'proxy-scale': 'scale' },
  'normalized-softmax': { temperature: 'temperature', 'label-smoothing': 'labelSmoothing' },
  arcface: { 'arcface-margin': 'angularMargin', 'arcface-scale': 'featureScale' },
  'soft-triple': {
    'soft-triple-centres': 'centresPerClass',
    'soft-triple-scale': 'scale',
    'soft-triple-margin': 'margin',
    'soft-triple-gamma': 'gamma',
    'soft-triple-tau': 'tau',
  },
};

/** @param old the fields of a config.json, a recipe or a checkpoint of that dialect */
export function commandLineDialect(old: Fields): StoredExperiment {
  const experiment: StoredExperiment = {};
  for (const [path, value] of [
    ...Object.entries(plain).map(([name, path]): Meaning => [path, old[name] as Json | undefined]),
    ...Object.entries(truths).map(([name, path]): Meaning => [path, truth(old[name])]),
    ...dataset(old),
    ...backbone(old),
    ...loss(old),
    ...miner(old),
    ...batches(old),
    ...schedules(old),
  ])
    if (value !== undefined) set(experiment, path, value);
  const track = trackers(old);
  return track.length > 0 ? { ...experiment, track } : experiment;
}

function set(experiment: StoredExperiment, path: string, value: Json): void {
  const keys = path.split('.');
  const last = keys.pop()!;
  let fields = experiment as Record<string, Json>;
  for (const key of keys) {
    fields[key] ??= {};
    fields = fields[key] as Record<string, Json>;
  }
  fields[last] = value;
}

function dataset(old: Fields): Meaning[] {
  const name = old.dataset as Json | undefined;
  if (typeof name !== 'string') return [];
  const place = name === 'csv' ? 'file' : 'folder';
  const options: Meaning[] = [['data.dataset.name', name]];
  if (!name.startsWith('emoji'))
    options.push([`data.dataset.${place}`, (old['dataset-dir'] ?? undefined) as Json | undefined]);
  if (name === 'folder' || name === 'csv')
    options.push(
      ['data.dataset.split', old.split as Json],
      ['data.dataset.trainFraction', old['train-fraction'] as Json],
    );
  if (name !== 'folder' && !name.startsWith('emoji'))
    options.push(['data.dataset.allowPartial', truth(old['allow-partial'])]);
  return options;
}

function backbone(old: Fields): Meaning[] {
  const { weights, widths, arch } = old;
  return [
    ['model.weights', weights === 'none' ? null : (weights as Json | undefined)],
    ...(arch === 'small-resnet' && typeof widths === 'string'
      ? [['model.backbone.widths', widths.split(',').map(Number)] as Meaning]
      : []),
  ];
}

function loss(old: Fields): Meaning[] {
  const name = old.loss;
  if (typeof name !== 'string') return [];
  const options = Object.entries(lossOptions[name] ?? {}).map(([before, now]): Meaning => {
    const value = old[before];
    const averaged = before === 'average' && value !== null && value !== undefined;
    // null: as the loss has it by itself.
    if (before === 'average') return [`loss.${now}`, averaged ? value === 'non-zero' : undefined];
    return [`loss.${now}`, truth(value) ?? (value as Json | undefined)];
  });
  return [['loss.name', name], ...options];
}

/** Losses whose own distance, from which on negatives have no loss, the miner asked for. */
const ASKED = 'margin';

function miner(old: Fields): Meaning[] {
  const { miner: name, beta, margin } = old;
  if (typeof name !== 'string') return [];
  const named: Meaning = ['miner.name', name];
  const cutoff: Meaning = ['miner.cutoff', old['miner-cutoff'] as Json | undefined];
  if (name === 'easy-positive') return [named, cutoff];
  if (name.endsWith('-semihard')) return [named, ['miner.margin', margin as Json | undefined]];
  if (name !== 'distance-weighted') return [named];
  const sum = typeof beta === 'number' && typeof margin === 'number' ? beta + margin : undefined;
  return [named, cutoff, ['miner.nonZeroLossCutoff', old.loss === ASKED ? undefined : sum]];
}

function batches(old: Fields): Meaning[] {
  const { sampler } = old;
  if (sampler === 'adaptive')
    return [['data.sampler.smallClassAction', old['small-class-action'] as Json | undefined]];
  if (sampler === 'random') return [['data.sampler.minClasses', old['min-classes'] as Json | undefined]];
  return [];
}

function schedules(old: Fields): Meaning[] {
  const at = (path: string, name: unknown): Meaning[] => {
    if (typeof name !== 'string') return [];
    const options: Meaning[] = [[`${path}.name`, name]];
    if (name === 'step')
      options.push([`${path}.stepSize`, old['lr-step'] as Json], [`${path}.gamma`, old['lr-gamma'] as Json]);
    if (name === 'one-cycle') options.push([`${path}.peak`, old['lr-peak'] as Json]);
    return options;
  };
  const rate = old['divide-lr'];
  const divided: Meaning[] =
    typeof rate === 'number'
      ? [
          ['optimize.divided.learningRate', rate],
          ...at('optimize.divided.schedule', old['divide-lr-schedule']),
        ]
      : [];
  return [...at('optimize.schedule', old['lr-schedule']), ...divided];
}

function trackers({ tensorboard, wandb, mlflow }: Fields): Json[] {
  return [
    ...(tensorboard === 'yes' ? [{ name: 'tensorboard' }] : []),
    ...(typeof wandb === 'string' ? [{ name: 'wandb', project: wandb }] : []),
    ...(typeof mlflow === 'string' ? [{ name: 'mlflow', url: mlflow }] : []),
  ];
}
