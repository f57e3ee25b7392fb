import { type DecodeRequest, decodeImages, type ImageSize, imageSize } from '@conquer/image';
import { type Tensor, tensor } from '@conquer/torch';
import type { Random } from '../random.js';
import type { Cropping } from './cropping.js';
import type { ImageSource } from './image-source.js';

export interface FileSourceOptions {
  paths: readonly string[];
  /** Which part of each image is read, and at what size. */
  cropping: Cropping;
}

/**
 * Images decoded from their files each time they are asked for, on libuv's threads: while a training step blocks the
 * event loop, the batches that were asked for go on.
 */
export class FileSource implements ImageSource {
  readonly count: number;
  private readonly paths: readonly string[];
  private readonly cropping: Cropping;
  /** Sizes from the files' headers; each is read once. */
  private readonly sizes: (Promise<ImageSize> | undefined)[];

  constructor({ paths, cropping }: FileSourceOptions) {
    this.count = paths.length;
    this.paths = paths;
    this.cropping = cropping;
    this.sizes = new Array(paths.length);
  }

  /** @throws ImageError naming the file that cannot be read */
  async read(positions: Int32Array, random: Random, signal: AbortSignal): Promise<Tensor> {
    const { size } = this.cropping;
    const sizes = await Promise.all(Array.from(positions, (position) => this.sizeOf(position)));
    const requests = sizes.map(
      (image, index): DecodeRequest => ({
        path: this.path(positions[index]!),
        size: { width: size, height: size },
        ...this.cropping.draw(image, random),
      }),
    );
    const pixels = new Uint8Array(positions.length * size * size * 3);
    await decodeImages(requests, pixels, { signal });
    return tensor(pixels, { shape: [positions.length, size, size, 3] }).keep();
  }

  private path(position: number): string {
    const path = this.paths[position];
    if (path === undefined) throw new RangeError(`FileSource: no image ${position}, there are ${this.count}`);
    return path;
  }

  private sizeOf(position: number): Promise<ImageSize> {
    const path = this.path(position);
    this.sizes[position] ??= imageSize(path);
    return this.sizes[position];
  }
}
