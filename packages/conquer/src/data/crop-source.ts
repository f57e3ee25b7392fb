import { type ImageError, type ImageSet, type SetRequest, warpImages } from '@conquer-dml/image';
import { type Tensor, tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { Cropping } from './cropping.js';
import type { ImageSource, OnBadImage } from './image-source.js';

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
   * @returns uint8 (B, size, size, 3) on the CPU, RGB, without rows of those that `onBad` was told of; the caller
   *   disposes it
   * @throws ImageError, unless `onBad` is told, naming the file that cannot be read; RangeError for a position that is
   *   not there
   */
  async read(
    positions: Int32Array,
    random: Random,
    signal: AbortSignal,
    onBad?: OnBadImage,
  ): Promise<Tensor> {
    const { images, cropping, threads } = this.options;
    const { size, warp, filter } = cropping;
    const side = warp?.from ?? size;
    const bad = new Map<number, ImageError>();
    const noting = (places?: readonly number[]) => ({
      threads,
      signal,
      onBad: onBad && ((error: ImageError, at: number) => void bad.set(places ? places[at]! : at, error)),
    });
    const sizes = await images.sizes(positions, noting());
    const places = [...positions.keys()].filter((place) => !bad.has(place));
    const decisions = places.map((place) => cropping.draw(sizes[place]!, random));
    const requests = decisions.map(
      ({ crop, whole, flip }, at): SetRequest => ({
        index: positions[places[at]!]!,
        size: { width: side, height: side },
        ...{ crop, whole, flip, filter },
      }),
    );
    const bytes = (of: number) => places.length * of * of * 3;
    const lent: Uint8Array[] = [];
    const borrow = (of: number) => {
      const buffer = this.takeBuffer(bytes(of));
      lent.push(buffer);
      return buffer.subarray(0, bytes(of));
    };
    try {
      let pixels = borrow(side);
      await images.read(requests, pixels, noting(places));
      if (warp && places.length > 0) {
        const matrices = new Float32Array(places.length * 6);
        for (const [at, { matrix = [] }] of decisions.entries()) matrices.set(matrix, at * 6);
        const request = { side, matrices, outSide: size, fill: warp.fill };
        const warped = borrow(size);
        await warpImages(pixels, request, warped, { threads, signal });
        pixels = warped;
      }
      const rows = places.flatMap((place, at) => (bad.has(place) ? [] : [at]));
      const row = size * size * 3;
      for (const [to, from] of rows.entries())
        if (to < from) pixels.copyWithin(to * row, from * row, (from + 1) * row);
      const result = tensor(pixels.subarray(0, rows.length * row), {
        shape: [rows.length, size, size, 3],
      }).keep();
      for (const [place, error] of [...bad].sort(([a], [b]) => a - b)) onBad?.(error, place);
      return result;
    } finally {
      this.buffers.push(...lent);
    }
  }

  private takeBuffer(bytes: number): Uint8Array {
    const large = this.buffers.findIndex((buffer) => buffer.length >= bytes);
    return large < 0 ? new Uint8Array(bytes) : (this.buffers.splice(large, 1)[0] as Uint8Array);
  }
}
