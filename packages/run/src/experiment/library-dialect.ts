import type { Json } from '../json.js';
import { type Fields, isFields } from '../records/fields.js';
import type { StoredExperiment } from './stored-experiment.js';

// The dialect of the config.json that trainEmbedding() wrote before format 3: some of the command line's names, code of
// one's own by the names of its classes, and objects as JSON within JSON.

export const isLibraryDialect = (fields: Fields) => 'small-resnet' in fields && 'image-folder' in fields;

/** JSON within JSON; {} where it is damaged. */
function parsed(text: unknown): Fields {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : {};
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}

/** Those that are there. */
function given(fields: Fields): { [name: string]: Json } {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Json] => entry[1] !== undefined),
  );
}

/** @param old the fields of a config.json or a checkpoint of that dialect */
export function libraryDialect(old: Fields): StoredExperiment {
  const optimizer = parsed(old.optimizer);
  const init = parsed(old['embedding-init']);
  const smallResNet = parsed(old['small-resnet']);
  const lr = typeof old.lr === 'number' ? old.lr : 0;
  const rates = (name: string, otherwise: number) => {
    const rate = optimizer[name];
    return typeof rate === 'number' && lr > 0 ? rate / lr : otherwise;
  };
  const weightDecay = typeof optimizer.weightDecay === 'number' ? optimizer.weightDecay : 0;
  const maskDecay = typeof optimizer.maskWeightDecay === 'number' ? optimizer.maskWeightDecay : 0;
  const betas = Array.isArray(optimizer.betas) ? optimizer.betas : [];
  const own = (name: unknown, options: unknown): Json =>
    typeof name === 'string' ? { own: name, options: typeof options === 'string' ? options : '{}' } : null;
  const loss = own(old.loss, old['loss-options']);
  const miner = own(old.miner, old['miner-options']);
  return {
    data: given({
      dataset: { own: old.dataset ?? 'folder', folder: old['image-folder'] ?? null },
      imageSize: old['image-size'],
      resize: old.resize,
      augmentation: old.augmentation === 'own' ? { own: 'View' } : { name: 'standard' },
      // What the library's sampler did by itself.
      sampler: { name: 'adaptive', smallClassAction: 'duplicate' },
      batchSize: old['batch-size'],
      samplesPerClass: old['samples-per-class'],
    }),
    model: given({
      backbone: { name: old.arch, ...smallResNet },
      weights: old.weights,
      batchNorm: old.bn,
      pooling: old['features-pooling'],
      dropout: old['features-dropout'],
      embeddingDim: old['embedding-dim'],
      embeddingInit: given({
        kind: init.kind,
        gain: init.gain,
        split: typeof init.learners === 'number' ? init.learners > 1 : undefined,
      }),
      masks: given({
        kind: old.masks,
        initialisation: old['mask-init'],
        relu: old['mask-relu'] !== 'no',
      }),
    }),
    ...given({ loss, miner: miner ?? undefined }),
    divide: given({
      numLearners: old['num-learners'],
      modEpoch: old['mod-epoch'],
      // There was no other.
      divideFrom: 0,
      maskLambda: old['mask-lambda'],
    }),
    optimize: given({
      optimizer: given({
        name: optimizer.algorithm ?? 'adam',
        beta1: betas[0],
        beta2: betas[1],
        eps: optimizer.eps,
      }),
      learningRate: old.lr,
      embeddingLearningRateMultiplier: rates('embeddingLearningRate', 1),
      maskLearningRateMultiplier: rates('maskLearningRate', 100),
      lossLearningRate: optimizer.lossLearningRate ?? 0,
      weightDecay,
      maskWeightDecayMultiplier: weightDecay > 0 ? maskDecay / weightDecay : 0,
      decayVectors: optimizer.decayVectors,
    }),
    train: given({ epochs: old.epochs, seed: old.seed, device: old.device }),
    evaluate: given({ bestBy: old['best-by'] }),
  };
}
