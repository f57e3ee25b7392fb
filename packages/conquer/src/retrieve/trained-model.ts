import type { ImageInput } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import { imagesAsSeen, plainBatches } from '../data/plain-batches.js';
import { embedImages } from '../evaluate/embed.js';
import type { EmbeddingNetwork } from '../models/embedding-network.js';
import { atTestTime, type TestTimeOptions, testTimeId } from '../models/test-time.js';
import type { Embedder, EmbedRequest } from './embedder.js';

/** Where a model was opened. */
export interface ModelOrigin extends Required<Pick<Embedder, 'id' | 'source' | 'checkpoint'>> {
  source: string;
}

/**
 * A trained network that sees images as the evaluation of its run does, or as those who published it say: paths, bytes or
 * pixels in, embeddings out.
 */
export class TrainedModel implements Embedder {
  readonly id: string;
  readonly source: string;
  readonly checkpoint: 'best' | 'last' | null;
  private readonly derived: Disposable;

  /** @param model trained, in evaluation mode, on `device`; close() frees it */
  constructor(
    readonly model: EmbeddingNetwork,
    { id, source, checkpoint }: ModelOrigin,
    readonly device: string,
  ) {
    this.id = id;
    this.source = source;
    this.checkpoint = checkpoint;
    // Photographs come one by one, too.
    this.derived = model.keepDerived();
  }

  /**
   * The same network used in another way: mirrored, cut in several places, its embedding cut. Its identity says so, so that
   * rows of the one are not compared with rows of the other. It shares the network: close one of the two.
   *
   * @throws RangeError for a prefix of more dimensions than there are
   */
  atTestTime(options: Partial<TestTimeOptions>): TrainedModel {
    const { source, checkpoint } = this;
    const id = testTimeId(this.id, options);
    return new TrainedModel(atTestTime(this.model, options), { id, source, checkpoint }, this.device);
  }

  get dim(): number {
    return this.model.embeddingDim;
  }

  get view(): Preprocessing {
    return this.model.view;
  }

  /**
   * Embeds images as the model's `view` says. A row is the same whether it is made from a file or from what the file holds.
   *
   * @param images N paths, bytes of image files (an upload), or pixels, mixed as one likes; they must stay as they are until
   *   the promise is settled
   * @returns (N × D), rows of length 1, without those of images that `onBad` was told of
   * @throws ImageError, unless `onBad` is told, naming the image that cannot be read, one without a path by its place;
   *   RangeError for no image at all; TypeError for what is no list of images; UserError naming the images whose embeddings
   *   are not finite; Interrupted after `signal` was aborted
   */
  async embed(images: readonly ImageInput[], request: EmbedRequest = {}): Promise<Float32Array> {
    using rows = await this.embedTensor(images, request);
    return rows.toTypedArray() as Float32Array;
  }

  /** The same as a tensor: float32 (N, D) on the model's device, which belongs to the caller. */
  async embedTensor(images: readonly ImageInput[], request: EmbedRequest = {}): Promise<Tensor> {
    if (!Array.isArray(images))
      throw new TypeError(
        `embed: expected an array of images (paths, bytes or pixels), got ${images instanceof Uint8Array ? 'bytes' : typeof images}`,
      );
    const { batchSize, threads, onProgress, onBad, signal } = request;
    const count = images.length;
    const bad = new Set<number>();
    const batches = plainBatches(imagesAsSeen(images, this.view), this.view, {
      batchSize,
      threads,
      device: this.device,
      onBad:
        onBad &&
        ((error, place) => {
          bad.add(place);
          onBad(error, place);
        }),
    });
    const nameOf = (row: number) => {
      const place = [...images.keys()].filter((at) => !bad.has(at))[row]!;
      const image = images[place];
      return typeof image === 'string' ? image : `image ${place + 1} of those given`;
    };
    return await embedImages(this.model, batches, {
      nameOf,
      signal,
      mayBeEmpty: onBad !== undefined && count > 0,
      ...(onProgress && { onProgress }),
    });
  }

  /** Frees the network. */
  close(): void {
    this.derived[Symbol.dispose]();
    this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
