import { cat, noGrad, ProcessGroup, scope, type Tensor, zeros } from '@conquer-dml/torch';
import type { EmbeddingNetwork, EmbedOptions } from '../models/embedding-network.js';
import { inWords } from '../out-of-memory.js';
import { checkStop } from '../stop-check.js';
import { requireFiniteRows } from './finite-rows.js';

/** 'final': the embedding; 'penultimate': the features it is made from. Both L2-normalised; 'unscaled': the embedding before that. */
export type Layer = 'final' | 'penultimate' | 'unscaled';

export interface EmbedImagesOptions extends EmbedOptions {
  /** Default 'final'. */
  layer?: Layer;
  /** Called with the number of images done so far. */
  onProgress?: (images: number) => void;
  /** Ends the work after the batch it is at. */
  signal?: AbortSignal | undefined;
  /** What the image of a row is called in messages; by its number in the split when left out. */
  nameOf?: (row: number) => string;
  /** Whether (0, D) may be the result, where there is not a single image; default false. */
  mayBeEmpty?: boolean;
  /** Processes of which each is given its part of the images, by rank; all get the rows of all. Default: this one. */
  group?: ProcessGroup | undefined;
  /** Told how long it took. */
  profile?: { addEmbedding(seconds: number): void } | undefined;
}

/**
 * Embeds images in evaluation mode, without gradients. What is made of the weights alone, as every BatchNorm folded into its
 * convolution, is made once, and kept beyond the call where the model keeps it (`keepDerived()`).
 *
 * @param batches images (B, 3, H, W) in the order of the split; each batch is disposed
 * @returns (N, D) or (N, F) on the model's device; it belongs to the caller
 * @throws RangeError when there is not a single image, unless the result may be empty
 * @throws UserError when embeddings are not finite: the weights are damaged, or have diverged
 * @throws Interrupted after `signal` was aborted
 */
export async function embedImages(
  model: EmbeddingNetwork,
  batches: AsyncIterable<{ images: Tensor }>,
  options: EmbedImagesOptions = {},
): Promise<Tensor> {
  const { layer = 'final', onProgress, signal, profile, nameOf, ...given } = options;
  const { group = ProcessGroup.alone(), mayBeEmpty = group.size > 1, ...embed } = given;
  const start = performance.now();
  const training = model.training;
  const parts: Tensor[] = [];
  let done = 0;
  using _ = model.keepDerived();
  try {
    model.eval();
    for await (const { images } of batches) {
      const part = embedBatch(model, images, layer, embed);
      parts.push(part.keep());
      done += part.size(0);
      images.dispose();
      onProgress?.(done);
      // Batches from memory come as microtasks: without a turn of the event loop no signal would be heard.
      await new Promise((resolve) => setImmediate(resolve));
      checkStop(signal);
    }
    if (parts.length === 0 && mayBeEmpty)
      parts.push(zeros([0, layer === 'penultimate' ? model.featureSize : model.embeddingDim]));
    if (parts.length === 0)
      throw new RangeError('embedImages: expected at least one batch of images, got none');
    return scope(() => {
      const rows = group.size === 1 ? cat(parts) : group.allGather(cat(parts));
      requireFiniteRows(rows, nameOf ?? ((row) => `image ${row + 1}`));
      return rows;
    }).keep();
  } finally {
    for (const part of parts) part.dispose();
    profile?.addEmbedding((performance.now() - start) / 1000);
    if (training) model.train();
  }
}

function embedBatch(model: EmbeddingNetwork, images: Tensor, layer: Layer, options: EmbedOptions): Tensor {
  try {
    return noGrad(() => {
      if (layer === 'penultimate') return model.features(images);
      const unscaled = layer === 'unscaled' ? model.embedUnscaled?.(images, options) : undefined;
      return unscaled ?? model.embed(images, options);
    });
  } catch (error) {
    const [count, , height, width] = images.shape;
    throw inWords(
      error,
      `${count} images of ${height}×${width} pixels, ${model.embeddingDim} dimensions, were embedded at once: smaller images or a smaller embedding need less`,
    );
  }
}
