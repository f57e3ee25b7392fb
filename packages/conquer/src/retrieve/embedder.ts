import type { ImageError, ImageInput } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';

export interface EmbedRequest {
  /** Images of a batch; default 64. */
  batchSize?: number | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Called with the number of images embedded so far. */
  onProgress?: ((images: number) => void) | undefined;
  /**
   * Told of each image that cannot be read, in their order, with its place among the images: its row is left out, and the
   * others are embedded all the same. Without it such an image is an error.
   */
  onBad?: ((error: ImageError, place: number) => void) | undefined;
  /** Ends the work early, with Interrupted. */
  signal?: AbortSignal | undefined;
}

/**
 * Images in, rows out: what an index is made by and searched with. `openModel` gives one of a trained model; one of one's
 * own (another program's network, a service) need only do as this says.
 */
export interface Embedder {
  /** Of the weights: rows of two embedders can be compared only if it is the same. Of a run's the SHA-256 of its checkpoint. */
  readonly id: string;
  /** D, the numbers of a row. */
  readonly dim: number;
  /** What the network is given of an image. null: that is its own business, and what `id` is of. */
  readonly view: Preprocessing | null;
  /** What `openModel` opens it from: absolute path of a run or of weights, or a public name. null or left out: it is one's own. */
  readonly source?: string | null;
  /** Which of the run's checkpoints it is. null or left out: its source is no run. */
  readonly checkpoint?: 'best' | 'last' | null;
  /**
   * @param images N paths, bytes of image files, or pixels, mixed as one likes
   * @returns (N × D) rows, one after the other, without those of images that `onBad` was told of
   */
  embed(images: readonly ImageInput[], request?: EmbedRequest): Promise<Float32Array>;
  /** Frees what it holds. */
  close(): void | Promise<void>;
}
