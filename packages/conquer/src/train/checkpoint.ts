import { existsSync } from 'node:fs';
import {
  type BestEpoch,
  type Division,
  experimentOf,
  type StoredExperiment,
  toStore,
  UserError,
  valueAt,
} from '@conquer-dml/run';
import {
  type Generator,
  readSafetensors,
  SerializationError,
  type Tensor,
  tensor,
  writeSafetensors,
} from '@conquer-dml/torch';
import type { CrossBatchMemory, CrossBatchMemoryState } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { NetworkRecord } from '../models/network-record.js';
import { weightFaults } from '../models/weights/weight-faults.js';
import type { ModelAverage, ModelAverageState } from '../optimize/model-average.js';
import type { MomentumEncoder } from '../optimize/momentum-encoder.js';
import type { TrainingOptimizer, TrainingOptimizerState } from '../optimize/training-optimizer.js';
import type { ImageDifficultyState } from './image-difficulty.js';

const FORMAT = 'conquer-checkpoint-2';
/** Had no checksum. */
const OLD_FORMAT = 'conquer-checkpoint-1';

/** Where a run stands that was stopped in the middle of an epoch. */
export interface EpochPosition {
  epoch: number;
  /** Steps of the epoch that are in the weights. */
  step: number;
  /** State of the Random before it drew the epoch's batches. */
  drawnFrom: number[];
  sums: {
    metricLoss: number;
    maskLoss: number;
    trained: number;
    skipped: number;
    images: number;
    /** Steps that trained, whose loss was 0. */
    zeroLoss: number;
    /** Images of batches that a miner saw. */
    mined: number;
    /** Those of them that were the anchor of no tuple. */
    withoutTuples: number;
  };
  /** Wall-clock seconds of the epoch's parts so far. */
  took: { divide?: number; train: number };
}

/** What a run needs to go on as if it had never stopped, besides its tensors. Plain JSON. */
export interface CheckpointState {
  /** What the run is, as config.json has it. */
  experiment: StoredExperiment;
  /** What the weights are of, and what they were given to see; not there in earlier versions'. */
  network?: NetworkRecord;
  /** Of the data set, see DatasetRecord; not there where it was not recorded. */
  dataset?: string;
  /** The last whole epoch that is in these weights, counted from 0; -1: none. */
  epoch: number;
  /** The steps of the epoch after it that are in them too; null or not there: none. */
  within?: EpochPosition | null;
  /** K, whose masks are among the model's tensors. */
  numLearners: number;
  /** Whether the masks still train: they leave the optimiser when the full embedding begins. */
  masksTrain: boolean;
  /** The division in force. */
  division: Omit<Division, 'clusters'>;
  optimizer: Omit<TrainingOptimizerState, 'tensors'>;
  /** Where the model is an average of the weights that train. */
  average?: ModelAverageState;
  /** Where the loss sees rows of earlier batches. */
  memory?: CrossBatchMemoryState;
  /** Where those are embedded by a network of their own. */
  encoder?: ModelAverageState;
  /** Where the sampler draws by it. */
  difficulty?: ImageDifficultyState;
  /** State of the Random that draws divisions, batches, augmentation and tuples. */
  random: number[];
  /** State of the torch generator that draws dropout, base64. */
  generator: string;
  /** Of the epochs so far; null before the first. */
  best: BestEpoch | null;
  /** Wall-clock seconds by phase, over all sessions of the run. */
  seconds: { divide: number; train: number; evaluate: number; total: number };
  /** Training images seen in whole epochs. */
  images: number;
}

export interface Checkpoint {
  /** The model's state dict, as it is evaluated: averaged weights where there are any. */
  model: Map<string, Tensor>;
  /** The weights that train, where those of `model` are their average. */
  trained?: Map<string, Tensor>;
  /** The loss's state dict: what it learns itself. */
  loss: Map<string, Tensor>;
  /** The tensors of the optimiser's state. */
  optimizer: Map<string, Tensor>;
  /** Rows of earlier batches, and whose they are. */
  memory?: Map<string, Tensor>;
  /** The weights of the network that embeds these, where it is one of its own. */
  encoder?: Map<string, Tensor>;
  /** (N,) cluster of each training image. -1: left out. */
  clusters: Int32Array;
  state: CheckpointState;
}

/** What a checkpoint has tensors of; the names in the file begin with it. */
const tensorParts = ['model', 'trained', 'loss', 'optimizer', 'memory', 'encoder'] as const;

/**
 * Writes one safetensors file: tensors `model.*`, `trained.*`, `loss.*`, `optimizer.*`, `memory.*`, `encoder.*` and
 * `division.clusters`, the state as JSON in its metadata, and a checksum. The file appears whole or not at all.
 *
 * @throws UserError when it cannot be written; a checkpoint that had the name stays as it was
 */
export function saveCheckpoint(path: string, checkpoint: Checkpoint): void {
  using clusters = tensor(checkpoint.clusters);
  const tensors = new Map<string, Tensor>([['division.clusters', clusters]]);
  for (const part of tensorParts) {
    for (const [name, value] of checkpoint[part] ?? []) tensors.set(`${part}.${name}`, value);
  }
  const state = { ...checkpoint.state, experiment: toStore(checkpoint.state.experiment) };
  const metadata = { format: FORMAT, state: JSON.stringify(state) };
  try {
    writeSafetensors(path, tensors, metadata, { checksum: true });
  } catch (error) {
    if (!(error instanceof SerializationError)) throw error;
    throw new UserError(
      `the checkpoint ${error.message}; what was saved before is unharmed: go on with the run once it can be written`,
    );
  }
}

/**
 * Reads a checkpoint that `saveCheckpoint` wrote. The tensors, on the CPU, belong to the caller, who disposes
 * them.
 *
 * @throws UserError when the file is missing, damaged, or no checkpoint, or its numbers are not finite
 */
export function loadCheckpoint(path: string): Checkpoint {
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(path);
  } catch (error) {
    throw new UserError(`the checkpoint ${path} cannot be read: ${(error as Error).message}`);
  }
  const { tensors, metadata } = file;
  const refuse = (reason: string): never => {
    for (const value of tensors.values()) value.dispose();
    throw new UserError(`${path} is no checkpoint of conquer: ${reason}`);
  };
  const clusters = tensors.get('division.clusters');
  const isKnown = metadata.format === OLD_FORMAT || (metadata.format === FORMAT && 'crc32' in metadata);
  if (!isKnown || metadata.state === undefined || clusters === undefined)
    return refuse(`expected format ${FORMAT} with a checksum, got ${metadata.format ?? 'none'}`);
  const state = parseState(metadata.state);
  if (state === null || clusters.dtype !== 'int32') return refuse('its state is damaged');
  const part = (prefix: string) =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, t]) => [name.slice(prefix.length), t]),
    );
  const checkpoint: Checkpoint = {
    model: part('model.'),
    ...(state.average && { trained: part('trained.') }),
    loss: part('loss.'),
    optimizer: part('optimizer.'),
    ...(state.memory && { memory: part('memory.') }),
    ...(state.encoder && { encoder: part('encoder.') }),
    clusters: clusters.toTypedArray() as Int32Array,
    state,
  };
  const known = new Set(partsOf(checkpoint).flatMap((tensorsOfPart) => [...tensorsOfPart.values()]));
  // The clusters, which were copied, and what has a name that nobody asked for.
  for (const value of tensors.values()) if (!known.has(value)) value.dispose();
  const faults = checkpointFaults(checkpoint);
  if (faults === null) return checkpoint;
  disposeCheckpoint(checkpoint);
  throw new UserError(
    `the checkpoint ${path} cannot be used: ${faults}: training diverged; take an earlier checkpoint, or train anew with a lower learning rate`,
  );
}

const partsOf = (checkpoint: Checkpoint) => tensorParts.flatMap((part) => checkpoint[part] ?? []);

const holders: Record<(typeof tensorParts)[number], string> = {
  model: 'the weights hold',
  trained: 'the weights that train hold',
  loss: "the loss's own weights hold",
  optimizer: "the optimiser's state holds",
  memory: 'the memory of earlier batches holds',
  encoder: 'the weights of its network hold',
};

function checkpointFaults(checkpoint: Checkpoint): string | null {
  for (const part of tensorParts) {
    const faults = weightFaults(checkpoint[part] ?? new Map());
    if (faults !== null) return `${holders[part]} ${faults}`;
  }
  return null;
}

/** What must be there for a run to go on; the numbers themselves are the checksum's business. */
function parseState(text: string): CheckpointState | null {
  try {
    const read = JSON.parse(text) as (Omit<CheckpointState, 'experiment'> & Record<string, unknown>) | null;
    // Older ones have it in their dialect, under another name.
    const stored = read?.experiment ?? read?.settings;
    const state = read && { ...read, experiment: experimentOf(stored, 'the checkpoint') };
    const whole =
      state !== null &&
      Number.isSafeInteger(state.epoch) &&
      Number.isSafeInteger(state.numLearners) &&
      [state.division, state.optimizer, state.seconds].every((part) => part instanceof Object) &&
      Array.isArray(state.random) &&
      typeof state.generator === 'string';
    return whole ? state : null;
  } catch {
    return null;
  }
}

/**
 * The first of some checkpoints that is whole; null where none is there. The tensors belong to the caller.
 *
 * @param onDamaged told of each that was passed over
 * @throws UserError when there are some, and all are damaged
 */
export function loadFirstWhole(
  paths: readonly string[],
  onDamaged: (message: string) => void,
): Checkpoint | null {
  const problems: string[] = [];
  for (const path of paths) {
    if (!existsSync(path)) continue;
    try {
      return loadCheckpoint(path);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(error.message);
      onDamaged(error.message);
    }
  }
  const [first] = problems;
  if (first === undefined) return null;
  const more = problems.length > 1 ? `; and ${problems.length - 1} more` : '';
  throw new UserError(`no checkpoint of the run can be used; remove them to begin anew: ${first}${more}`);
}

/** Frees the tensors of a checkpoint that was loaded. */
export function disposeCheckpoint(checkpoint: Checkpoint): void {
  for (const part of partsOf(checkpoint)) {
    for (const value of part.values()) value.dispose();
  }
}

/**
 * Copies a checkpoint into a model, loss, optimiser, average and memory that were made for it: as many learners, and the
 * masks removed from the optimiser if they were.
 *
 * @param run named in errors
 * @throws UserError when it is of another model or loss; then these are not to be used
 */
export function loadParts(
  run: string,
  parts: {
    model: EmbeddingModel;
    loss: Loss;
    optimizer: TrainingOptimizer;
    average: ModelAverage | null;
    memory: CrossBatchMemory | null;
    encoder: MomentumEncoder | null;
  },
  checkpoint: Checkpoint,
): void {
  const { average, memory, encoder } = checkpoint.state;
  try {
    parts.model.loadStateDict(checkpoint.trained ?? checkpoint.model);
    // Of a run that had none so far, the average begins here.
    parts.average?.load(checkpoint.model, average ?? { steps: 0 });
    parts.loss.loadStateDict(checkpoint.loss);
    parts.optimizer.loadStateDict({ ...checkpoint.state.optimizer, tensors: checkpoint.optimizer });
    if (memory) parts.memory?.load(memory, checkpoint.memory!, parts.model.embedding.weight.device);
    if (encoder) parts.encoder?.load(checkpoint.encoder!, encoder);
  } catch (error) {
    throw new UserError(
      `the checkpoint of ${run} is of another model, loss or optimiser than it is to go on with: ${(error as Error).message}`,
    );
  }
}

/**
 * Sets the generator of dropout to where it was. False for one of another kind of processor, whose state says nothing
 * here: this one stays as it is.
 */
export function loadGenerator(
  generator: Generator,
  state: Pick<CheckpointState, 'experiment' | 'generator'>,
): boolean {
  const kindOf = (device: string) => device.split(':')[0];
  const device = valueAt(state.experiment, 'train.device') ?? generator.device;
  if (kindOf(String(device)) !== kindOf(generator.device)) return false;
  try {
    generator.setState(new Uint8Array(Buffer.from(state.generator, 'base64')));
  } catch (error) {
    throw new UserError(`the checkpoint's random state is damaged: ${(error as Error).message}`);
  }
  return true;
}
