import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@conquer/torch';
import type { Division } from '../divide/division.js';
import { UserError } from '../error.js';
import type { TrainingOptimizerState } from './optimizer.js';
import type { BestEpoch, Settings } from './run-folder.js';

const FORMAT = 'conquer-checkpoint-1';

/** What a run needs to go on as if it had never stopped, besides its tensors. Plain JSON. */
export interface CheckpointState {
  settings: Settings;
  /** The last epoch that is in these weights, counted from 0. */
  epoch: number;
  numLearners: number;
  /** Whether the masks still train: they leave the optimiser when the full embedding begins. */
  masksTrain: boolean;
  division: Omit<Division, 'clusters'>;
  optimizer: Omit<TrainingOptimizerState, 'tensors'>;
  /** State of the Random that draws divisions, batches, augmentation and tuples. */
  random: number[];
  /** State of the torch generator that draws dropout, base64. */
  generator: string;
  best: BestEpoch | null;
  seconds: { divide: number; train: number; evaluate: number; total: number };
  images: number;
}

export interface Checkpoint {
  model: Map<string, Tensor>;
  loss: Map<string, Tensor>;
  optimizer: Map<string, Tensor>;
  /** (N,) cluster of each training image. */
  clusters: Int32Array;
  state: CheckpointState;
}

/**
 * Writes one safetensors file: tensors `model.*`, `loss.*`, `optimizer.*` and `division.clusters`, the state as
 * JSON in its metadata. The file appears whole or not at all.
 */
export function saveCheckpoint(path: string, checkpoint: Checkpoint): void {
  using clusters = tensor(checkpoint.clusters);
  const tensors = new Map<string, Tensor>([['division.clusters', clusters]]);
  for (const part of ['model', 'loss', 'optimizer'] as const) {
    for (const [name, value] of checkpoint[part]) tensors.set(`${part}.${name}`, value);
  }
  writeSafetensors(path, tensors, { format: FORMAT, state: JSON.stringify(checkpoint.state) });
}

/**
 * The tensors belong to the caller.
 *
 * @throws UserError when the file is missing, damaged, or no checkpoint.
 */
export function loadCheckpoint(path: string): Checkpoint {
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(path);
  } catch (error) {
    throw new UserError(`the checkpoint ${path} cannot be read: ${(error as Error).message}`);
  }
  const { tensors, metadata } = file;
  const clusters = tensors.get('division.clusters');
  if (metadata.format !== FORMAT || metadata.state === undefined || clusters === undefined) {
    for (const value of tensors.values()) value.dispose();
    throw new UserError(
      `${path} is no checkpoint of conquer: expected format ${FORMAT}, got ${metadata.format ?? 'none'}`,
    );
  }
  const part = (prefix: string) =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, t]) => [name.slice(prefix.length), t]),
    );
  const checkpoint: Checkpoint = {
    model: part('model.'),
    loss: part('loss.'),
    optimizer: part('optimizer.'),
    clusters: clusters.toTypedArray() as Int32Array,
    state: JSON.parse(metadata.state),
  };
  clusters.dispose();
  return checkpoint;
}

/** Frees the tensors of a checkpoint that was loaded. */
export function disposeCheckpoint(checkpoint: Checkpoint): void {
  for (const part of [checkpoint.model, checkpoint.loss, checkpoint.optimizer]) {
    for (const value of part.values()) value.dispose();
  }
}
