import type { ImageError } from '@conquer-dml/image';
import { imagesFromPixels, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import { inWords } from '../out-of-memory.js';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';
import type { ImageSource, OnBadImage } from './image-source.js';
import { ImagesInChunks } from './images-in-chunks.js';
import type { Substitutes } from './substitutes.js';

/** A batch, ready for the network. Its images belong to whoever receives it, and are to be disposed there. */
export interface Batch<Images extends BatchImages = Tensor> {
  /** float32 (B, 3, H, W) on the loader's device, as the transform leaves them. */
  images: Images;
  /** (B,), the class of each image. */
  labels: Int32Array;
  /** (B,), positions in the split of the images that were read: those asked for, or their substitutes, or what is left. */
  indices: Int32Array;
}

export interface LoaderOptions {
  source: ImageSource;
  /** (N,), of all the source's images. */
  labels: Int32Array;
  /** The positions of each batch: a sampler, or `InOrderBatches` for evaluation. */
  batches: Iterable<Int32Array>;
  /** Applied on the device, to values in [0, 1]. */
  transform: BatchTransform;
  /**
   * Draws crops and augmentations. A batch gets a stream of its own when it is asked for, so that the draws are
   * the same whatever the timing. Batches asked for ahead draw too: after an iteration that ended early, this Random
   * stands further than the batches that were received.
   */
  random: Random;
  /** Stand in for images that cannot be read; without them such an image is an error. */
  substitutes?: Substitutes | undefined;
  /**
   * Told of each image that cannot be read, and its position, when its batch is due; it is left out of the batch, and a
   * batch of which nothing is left is not given. Not together with substitutes. Without both such an image is an error.
   */
  onBad?: OnBadImage | undefined;
  /** Default `cpu`. */
  device?: string | undefined;
  /** Batches that are read ahead, at least 1; default 2. */
  prefetch?: number | undefined;
}

/** A batch as it was read, with the images that could not be, by their positions. */
interface ReadBatch {
  indices: Int32Array;
  /** uint8 (B, H, W, 3) */
  pixels: Tensor;
  bad: ReadonlyMap<number, ImageError>;
}

/**
 * Reads the images of batch after batch ahead of the training loop, and transforms them when they are received.
 * Each `for await` is an epoch. Leaving it early, or an error, ends the reading: what runs is waited for and freed.
 *
 * @throws while iterating, ImageError naming a file that cannot be read, or UserError where too many have no
 *   substitute; the batches before it come first
 */
export class Loader implements AsyncIterable<Batch> {
  private readonly options: LoaderOptions;

  /** @throws RangeError if there are not as many labels as images, bad ones have two fates, or `prefetch` is not a positive integer */
  constructor(options: LoaderOptions) {
    const { source, labels, substitutes, onBad, prefetch = 2 } = options;
    if (substitutes && onBad) throw new RangeError('Loader: expected either substitutes or onBad, got both');
    if (labels.length !== source.count) {
      throw new RangeError(`Loader: got ${labels.length} labels for ${source.count} images`);
    }
    if (!Number.isSafeInteger(prefetch) || prefetch < 1) {
      throw new RangeError(`Loader: expected to read at least 1 batch ahead, got ${prefetch}`);
    }
    this.options = options;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    return this.finished((pixels, stream) => this.finish(pixels, stream));
  }

  /**
   * The same with batches that stay bytes until so many images of them are asked for; a batch that is no larger is transformed at
   * once.
   */
  inChunks(chunk: number): AsyncGenerator<Batch<BatchImages>, void, undefined> {
    const { transform, device = 'cpu' } = this.options;
    return this.finished<BatchImages>((pixels, stream) =>
      pixels.size(0) <= chunk
        ? this.finish(pixels, stream)
        : new ImagesInChunks(pixels, transform, stream, chunk, device),
    );
  }

  private async *finished<Images extends BatchImages>(
    finish: (pixels: Tensor, stream: Random) => Images,
  ): AsyncGenerator<Batch<Images>, void, undefined> {
    const { batches, labels, random, onBad, prefetch = 2 } = this.options;
    const abort = new AbortController();
    const positions = batches[Symbol.iterator]();
    const ahead: { stream: Random; read: Promise<ReadBatch> }[] = [];
    const ask = () => {
      while (ahead.length < prefetch) {
        const next = positions.next();
        if (next.done) return;
        const stream = random.fork();
        const count = next.value.length;
        const read = this.read(next.value, stream, abort.signal).catch((error: unknown) => {
          throw inWords(error, tooMany(count));
        });
        // A failure is reported when its batch is due; until then it must not count as unhandled.
        read.catch(() => {});
        ahead.push({ stream, read });
      }
    };
    try {
      ask();
      for (let batch = ahead[0]; batch; batch = ahead[0]) {
        const { pixels, indices, bad } = await batch.read;
        ahead.shift();
        for (const [position, error] of bad) onBad?.(error, position);
        if (indices.length === 0) {
          pixels.dispose();
          ask();
          continue;
        }
        const images = finish(pixels, batch.stream);
        // Only now: reading would take the cores from finishing this one. It has the whole step.
        ask();
        yield { images, labels: indices.map((position) => labels[position]!), indices };
      }
    } finally {
      abort.abort();
      positions.return?.();
      for (const result of await Promise.allSettled(ahead.map(({ read }) => read))) {
        if (result.status === 'fulfilled') result.value.pixels.dispose();
      }
    }
  }

  private async read(positions: Int32Array, stream: Random, signal: AbortSignal): Promise<ReadBatch> {
    const { source, substitutes, onBad } = this.options;
    const bad = new Map<number, ImageError>();
    if (substitutes) return { ...(await substitutes.read(source, positions, stream, signal)), bad };
    const note: OnBadImage = (error, place) => bad.set(positions[place]!, error);
    const pixels = await source.read(positions, stream, signal, onBad && note);
    return { indices: positions.filter((position) => !bad.has(position)), pixels, bad };
  }

  /** uint8 (B, H, W, 3) → float (B, 3, H, W) in [0, 1], transformed. Disposes `pixels`. */
  private finish(pixels: Tensor, stream: Random): Tensor {
    const { transform, device = 'cpu' } = this.options;
    try {
      return noGrad(() =>
        scope(() => {
          const images = imagesFromPixels(pixels.to({ device }));
          return transform.apply(images, stream);
        }),
      ).keep();
    } catch (error) {
      throw inWords(error, tooMany(pixels.size(0)));
    } finally {
      pixels.dispose();
    }
  }
}

function tooMany(count: number): string {
  return `a batch of ${count} images does not fit: a smaller batch or smaller images need less`;
}
