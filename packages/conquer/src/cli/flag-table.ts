// The names of flags. A field of the experiment has its own name, in dashes (`data.imageSize`: --image-size), and an option
// of a part the part's in front (`margin` of the loss `mine`: --mine-margin), unless it stands here.

/** By path; for an option of a part, by `path/part.option`, where * is any part. */
const names: Readonly<Record<string, string>> = {
  'data.validationFraction': 'val-fraction',
  'data.dataset/*.folder': 'dataset-dir',
  'data.dataset/*.file': 'dataset-dir',
  'data.dataset/*.split': 'split',
  'data.dataset/*.trainFraction': 'train-fraction',
  'data.dataset/*.allowPartial': 'allow-partial',
  'data.dataset/*.image': 'shard-image',
  'data.dataset/*.label': 'shard-label',
  'data.sampler/adaptive.smallClassAction': 'small-class-action',
  'data.sampler/random.minClasses': 'min-classes',
  'data.augmentation/*.minArea': 'min-area',
  'data.augmentation/*.erase': 'erase',
  'data.augmentation/rand-augment.numMagnitudeBins': 'rand-augment-bins',
  'model.backbone': 'arch',
  'model.backbone/small-resnet.widths': 'widths',
  'model.backbone/*.dropPath': 'drop-path',
  'model.head/*.neck': 'neck',
  'model.tuning/full.freezeBelow': 'freeze-below',
  'model.tuning/full.keptViews': 'kept-views',
  'model.tuning/full.keptGigabytes': 'kept-gigabytes',
  'model.batchNorm': 'bn',
  'model.pooling': 'features-pooling',
  'model.dropout': 'features-dropout',
  'model.embeddingInit.kind': 'embedding-init',
  'model.embeddingInit.gain': 'embedding-init-gain',
  'model.embeddingInit.split': 'embedding-init-split',
  'model.masks.kind': 'masks',
  'model.masks.initialisation': 'mask-init',
  'model.masks.relu': 'mask-relu',
  'loss/margin.margin': 'margin',
  'loss/margin.beta': 'beta',
  'loss/margin.nu': 'nu',
  'loss/margin.betaPerClass': 'beta-per-class',
  'loss/triplet.margin': 'margin',
  'loss/triplet.soft': 'soft',
  'loss/triplet.squared': 'squared-distances',
  'loss/triplet.averageNonZeroOnly': 'average',
  'loss/triplet-all.margin': 'margin',
  'loss/triplet-semihard.margin': 'margin',
  'loss/triplet-semihard.soft': 'soft',
  'loss/npairs.alpha': 'alpha',
  'loss/kantorov-margin.alpha': 'margin',
  'loss/kantorov-margin.beta': 'beta',
  'loss/kantorov-margin.distanceThreshold': 'miner-cutoff',
  'loss/contrastive.posMargin': 'pos-margin',
  'loss/contrastive.negMargin': 'neg-margin',
  'loss/snr.margin': 'margin',
  'loss/snr.regLambda': 'snr-lambda',
  'loss/snr.averageNonZeroOnly': 'average',
  'loss/angular.alphaDegrees': 'angular-alpha',
  'loss/angular.angularWeight': 'angular-weight',
  'loss/multi-similarity.posWeight': 'ms-pos-weight',
  'loss/multi-similarity.negWeight': 'ms-neg-weight',
  'loss/multi-similarity.margin': 'ms-margin',
  'loss/multi-similarity.threshold': 'ms-threshold',
  'loss/multi-similarity.averageNonZeroOnly': 'average',
  'loss/histogram.numBins': 'histogram-bins',
  'loss/proxy-nca.scale': 'proxy-scale',
  'loss/normalized-softmax.temperature': 'temperature',
  'loss/normalized-softmax.labelSmoothing': 'label-smoothing',
  'loss/arcface.angularMargin': 'arcface-margin',
  'loss/arcface.featureScale': 'arcface-scale',
  'loss/soft-triple.centresPerClass': 'soft-triple-centres',
  'miner/*.margin': 'margin',
  'miner/*.cutoff': 'miner-cutoff',
  'optimize.learningRate': 'lr',
  'optimize.optimizer/adam.beta2': 'adam-beta2',
  'optimize.optimizer/adamw.beta2': 'adam-beta2',
  'optimize.ema.decay': 'ema-decay',
  'optimize.ema.warmup': 'ema-warmup',
  'optimize.embeddingLearningRateMultiplier': 'embedding-lr-mult',
  'optimize.maskLearningRateMultiplier': 'mask-lr-mult',
  'optimize.lossLearningRate': 'loss-lr',
  'optimize.maskWeightDecayMultiplier': 'mask-wd-mult',
  'optimize.schedule': 'lr-schedule',
  'optimize.schedule/step.stepSize': 'lr-step',
  'optimize.schedule/step.gamma': 'lr-gamma',
  'optimize.schedule/one-cycle.peak': 'lr-peak',
  'optimize.schedule/cosine.lastFactor': 'lr-last',
  'optimize.afterEnd': 'lr-after',
  'optimize.courses': 'lr-courses',
  'optimize.divided.learningRate': 'divide-lr',
  'optimize.divided.schedule': 'divide-lr-schedule',
  'optimize.divided.schedule/cosine.lastFactor': 'lr-last',
  'optimize.divided.schedule/step.stepSize': 'lr-step',
  'optimize.divided.schedule/step.gamma': 'lr-gamma',
  'optimize.divided.schedule/one-cycle.peak': 'lr-peak',
  'train.crossBatchMemory.size': 'memory-size',
  'train.crossBatchMemory.startStep': 'memory-start',
  'train.crossBatchMemory.form': 'memory-form',
  'train.crossBatchMemory.weight': 'memory-weight',
  'train.crossBatchMemory.momentum': 'memory-momentum',
  'train.gradientCache.chunk': 'chunk',
  'evaluate.untrained': 'evaluate-untrained',
  'track/wandb.project': 'wandb',
  'track/mlflow.url': 'mlflow',
  'track/tensorboard': 'tensorboard',
};

const inDashes = (name: string) =>
  name.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flag, without its dashes, of a field; of an option of a part where there is one. */
export function flagName(path: string, part: string | null = null, option: string | null = null): string {
  const last = path.slice(path.lastIndexOf('.') + 1);
  if (part === null || option === null) return names[path] ?? inDashes(last);
  return names[`${path}/${part}.${option}`] ?? names[`${path}/*.${option}`] ?? `${part}-${inDashes(option)}`;
}

/** The flag that switches a tracker on. */
export const trackerFlag = (tracker: string, option: string | undefined) =>
  names[option === undefined ? `track/${tracker}` : `track/${tracker}.${option}`] ?? tracker;

const batches = [
  'imageSize',
  'imageSizeFrom',
  'imageSizeEpochs',
  'resize',
  'augmentation',
  'cache',
  'onBadImage',
  'sampler',
  'batchSize',
  'samplesPerClass',
  'replicas',
  'passesPerEpoch',
].map((name) => `data.${name}`);
const groups: Readonly<Record<string, string>> = {
  data: 'Data',
  model: 'Model',
  loss: 'Loss and miner',
  miner: 'Loss and miner',
  divide: 'Division',
  optimize: 'Optimiser',
};

/** Under what heading the flag of a field stands in the help. */
export function flagGroup(path: string): string {
  if (batches.includes(path)) return 'Batches and images';
  return groups[path.split('.')[0]!] ?? 'Run';
}

/** Values that the command line has for others: those of yes and no where they have better names, and other names. */
export const words: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  average: { 'non-zero': true, all: false },
  miner: {
    distanceweighted: 'distance-weighted',
    easypeasy: 'easy-positive',
    hphn: 'hard-hard',
    hpshn: 'hard-semihard',
    ephn: 'easy-hard',
    epshn: 'easy-semihard',
    rphn: 'random-hard',
    rpshn: 'random-semihard',
  },
  clustering: { kmeans_adaptive_centroids: 'adaptive-centroids' },
  split: {},
};
