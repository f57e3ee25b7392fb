import type { Tensor } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { inSinglePrecision } from '../precision.js';

/** The rows of a batch, and the way back into the network. */
export interface EmbeddedBatch {
  /** (B, D), float32 or float64, neither under a mask nor scaled; it belongs to the scope around. */
  rows: Tensor;
  /**
   * Adds the gradients of `total`, a scalar of `rows`, to all parameters. Once.
   *
   * @param last is given the backward pass after which they are whole, to run it; not called where there is no one such pass
   */
  backward(total: Tensor, last?: RunPass): void;
}

/** Runs a backward pass. */
export type RunPass = (pass: () => void) => void;

/** How a batch goes through the network: at once, or in parts that need less memory. */
export interface BatchEmbedder {
  /**
   * @param images (B, 3, H, W); they are there until `backward`
   * @param total images of the batch, of which several processes have their shares
   */
  embed(images: BatchImages, total: number): EmbeddedBatch;
  /** After a batch, whether or not anything was learnt from it. */
  finish?(): void;
}

const run: RunPass = (pass) => pass();

/** At once. */
export function embedWhole(model: EmbeddingModel, images: BatchImages): EmbeddedBatch {
  const rows = inSinglePrecision(model.unmasked(images.narrow(0, 0, images.shape[0]!)));
  return { rows, backward: (total, last = run) => last(() => total.backward()) };
}
