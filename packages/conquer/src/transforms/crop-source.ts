import { type ImageSet, type SetRequest, warpImages } from '@conquer/image';
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
    const { size, warp } = cropping;
    const side = warp?.from ?? size;
    const sizes = await images.sizes(positions, { threads, signal });
    const decisions = sizes.map((image) => cropping.draw(image, random));
    const requests = decisions.map(
      ({ crop, flip }, place): SetRequest => ({
        index: positions[place]!,
        size: { width: side, height: side },
        crop,
        flip,
      }),
    );
    const bytes = (of: number) => positions.length * of * of * 3;
    const lent: Uint8Array[] = [];
    const borrow = (of: number) => {
      const buffer = this.takeBuffer(bytes(of));
      lent.push(buffer);
      return buffer.subarray(0, bytes(of));
    };
    try {
      let pixels = borrow(side);
      await images.read(requests, pixels, { threads, signal });
      if (warp) {
        const matrices = new Float32Array(positions.length * 6);
        for (const [place, { matrix = [] }] of decisions.entries()) matrices.set(matrix, place * 6);
        const request = { side, matrices, outSide: size, fill: warp.fill };
        const warped = borrow(size);
        await warpImages(pixels, request, warped, { threads, signal });
        pixels = warped;
      }
      return tensor(pixels, { shape: [positions.length, size, size, 3] }).keep();
    } finally {
      this.buffers.push(...lent);
    }
  }

  private takeBuffer(bytes: number): Uint8Array {
    const large = this.buffers.findIndex((buffer) => buffer.length >= bytes);
    return large < 0 ? new Uint8Array(bytes) : (this.buffers.splice(large, 1)[0] as Uint8Array);
  }
}
