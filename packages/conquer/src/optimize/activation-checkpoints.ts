import { Checkpoints, type Generator } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { OptionError } from '../option-error.js';
import { type BatchEmbedder, type EmbeddedBatch, embedWhole } from './batch-embedder.js';

/**
 * Activation checkpointing (Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016): of each block of
 * the backbone what goes in is kept for backward, and its inside is computed again there. The gradients are the same.
 */
export class ActivationCheckpoints implements BatchEmbedder {
  /**
   * @param dropout draws all that the network leaves out by chance
   * @throws OptionError for a backbone that has no such blocks
   */
  constructor(
    private readonly model: EmbeddingModel,
    private readonly dropout: Generator,
  ) {
    const { name, checkpointsBlocks } = model.backbone;
    if (!checkpointsBlocks)
      throw new OptionError(
        'train.activationCheckpointing',
        `expected a backbone of blocks, such as a ResNet or a vision transformer, got ${name}; false: keep all`,
      );
  }

  embed(images: BatchImages): EmbeddedBatch {
    const checkpoints = new Checkpoints([this.dropout]);
    const rows = checkpoints.forward(() => embedWhole(this.model, images).rows);
    return { rows, backward: (total) => checkpoints.backward(total) };
  }
}
