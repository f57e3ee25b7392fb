import type { ImageSet, SetRequest } from '@conquer/image';
import { type Tensor, tensor } from '@conquer/torch';
import type { Random } from '../random.js';
import type { Cropping } from './cropping.js';
import type { ImageSource } from './image-source.js';

export interface CropSourceOptions {
  /** Files, decoded each time, or a pack of images that were decoded once. */
  images: ImageSet;
  /** Which part of each image is read, and at what size. */
  cropping: Cropping;
  /** Threads that decode and resize; default one a core. */
  threads?: number | undefined;
}

/**
 * Crops of images, read on threads of their own: while a training step blocks the event loop, the batches that were
 * asked for go on.
 */
export class CropSource implements ImageSource {
  readonly count: number;
  /** Used again by later batches, as new memory costs about as much as resizing an image into it. */
  private readonly buffers: Uint8Array[] = [];

  constructor(private readonly options: CropSourceOptions) {
    this.count = options.images.count;
  }

  /**
   * Reads a crop of each image, drawn in the order of the positions.
   * @returns uint8 (B, size, size, 3) on the CPU, RGB; the caller disposes it
   * @throws ImageError naming the file that cannot be read; RangeError for a position that is not there
   */
  async read(positions: Int32Array, random: Random, signal: AbortSignal): Promise<Tensor> {
    const { images, cropping, threads } = this.options;
    const { size } = cropping;
    const sizes = await images.sizes(positions, { threads, signal });
    const requests = sizes.map(
      (image, place): SetRequest => ({
        index: positions[place]!,
        size: { width: size, height: size },
        ...cropping.draw(image, random),
      }),
    );
    const bytes = positions.length * size * size * 3;
    let buffer = this.buffers.pop();
    if (!buffer || buffer.length < bytes) buffer = new Uint8Array(bytes);
    const pixels = buffer.subarray(0, bytes);
    try {
      await images.read(requests, pixels, { threads, signal });
      return tensor(pixels, { shape: [positions.length, size, size, 3] }).keep();
    } finally {
      this.buffers.push(buffer);
    }
  }
}
