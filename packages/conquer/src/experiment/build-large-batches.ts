import type { Generator } from '@conquer-dml/torch';
import { CrossBatchMemory } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { ActivationCheckpoints } from '../optimize/activation-checkpoints.js';
import type { BatchEmbedder } from '../optimize/batch-embedder.js';
import { GradientCache } from '../optimize/gradient-cache.js';
import { MomentumEncoder } from '../optimize/momentum-encoder.js';
import { OptionError, underPath } from '../option-error.js';
import type { Experiment } from './experiment.js';

/** What lets a loss see more than the memory has room for at once. */
export interface LargeBatches {
  /** Rows of earlier batches; null: a batch sees itself alone. */
  memory: CrossBatchMemory | null;
  /** Embeds what the memory keeps; null: as the batch was embedded. */
  encoder: MomentumEncoder | null;
  /** null: a batch goes through the network at once. */
  embedder: BatchEmbedder | null;
  /** Batches that make a step of the optimiser. */
  accumulate: number;
  dispose(): void;
}

/**
 * @param dropout draws all that the network leaves out by chance
 * @throws OptionError for a loss that a memory is of no use to, a memory smaller than a batch, BatchNorm that trains, a backbone without blocks
 */
export function buildLargeBatches(
  { train, data }: Experiment,
  model: EmbeddingModel,
  loss: Loss,
  dropout: Generator,
): LargeBatches {
  const { crossBatchMemory, gradientCache, activationCheckpointing, accumulate } = train;
  const chunk = gradientCache?.chunk ?? null;
  const whole = activationCheckpointing ? new ActivationCheckpoints(model, dropout) : undefined;
  const embedder = chunk === null ? (whole ?? null) : new GradientCache(model, chunk, dropout, whole);
  const memory = crossBatchMemory && memoryFor(crossBatchMemory, data.batchSize, loss);
  const momentum = crossBatchMemory?.momentum ?? null;
  const encoder = momentum === null ? null : new MomentumEncoder(model, momentum, chunk);
  return {
    memory,
    encoder,
    embedder,
    accumulate,
    dispose() {
      memory?.dispose();
      encoder?.dispose();
    },
  };
}

function memoryFor(
  { momentum: _, ...options }: NonNullable<Experiment['train']['crossBatchMemory']>,
  batchSize: number,
  loss: Loss,
): CrossBatchMemory {
  const path = 'train.crossBatchMemory';
  if (!loss.usesReference)
    throw new OptionError(
      path,
      'has no effect: the loss compares images with what it learns for each class, or a batch with itself alone; expected a loss of pairs or tuples such as multi-similarity, or null',
    );
  if (options.size < batchSize)
    throw new OptionError(
      `${path}.size`,
      `expected data.batchSize, ${batchSize}, or more, got ${options.size}`,
    );
  try {
    return new CrossBatchMemory(options);
  } catch (error) {
    throw underPath(path, error);
  }
}
