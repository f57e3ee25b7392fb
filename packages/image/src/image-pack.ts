import { close } from 'node:fs';
import { type NativeOptions, native, outcome, runNative } from './binding.js';
import { ImageError } from './error.js';
import type { ImageSet, SetRequest } from './image-set.js';
import type { PackTable } from './pack-file.js';
import type { ImageSize } from './pixels.js';
import { encodeRequests, outsideReason, placesIn } from './request.js';

/**
 * Images whose pixels lie decoded in one file, see `packImages`. A read takes the rows it needs from the
 * file, which the system keeps in memory where there is room, and resizes them on the addon's threads. An
 * image's pixels are compared with their checksum when they are read for the first time. The caller disposes
 * it.
 */
export class ImagePack implements ImageSet {
  readonly count: number;
  /** 1 for each image whose pixels were found undamaged. */
  private readonly verified: Uint8Array;
  private reads = 0;
  private disposed = false;

  /** Takes over the open file, which is closed by `dispose`. */
  constructor(
    private readonly descriptor: number,
    private readonly name: string,
    private readonly paths: readonly string[],
    private readonly table: PackTable,
  ) {
    this.count = paths.length;
    this.verified = new Uint8Array(paths.length);
  }

  /** The sizes in the pack, reduced as they are. @throws RangeError for an image that is not there */
  async sizes(indices: Iterable<number>): Promise<ImageSize[]> {
    return Array.from(indices, (index) => this.size(index));
  }

  /**
   * As ImageSet.read; crops are in pixels of the reduced images.
   * @throws ImageError naming the first image that is damaged in the pack, or outside of which the crop lies;
   *   RangeError if `out` has another size or an image is not there; Error after `dispose`
   */
  async read(requests: readonly SetRequest[], out: Uint8Array, options: NativeOptions = {}): Promise<void> {
    if (this.disposed) throw new Error('this ImagePack has been disposed');
    placesIn(out, requests);
    if (requests.length === 0) return;
    const places = new Float64Array(requests.length * 5);
    for (const [place, { index }] of requests.entries()) {
      const { width, height } = this.size(index);
      const { offsets, checksums } = this.table;
      const verify = this.verified[index] === 1 ? 0 : 1;
      places.set([offsets[index]!, width, height, checksums[index]!, verify], place * 5);
    }
    const outcomes = new Uint8Array(requests.length);
    this.reads++;
    try {
      await runNative(options, (threads, cancel) =>
        native.readPixels(this.descriptor, places, encodeRequests(requests), out, outcomes, threads, cancel),
      );
    } finally {
      this.reads--;
      if (this.disposed) this.close();
    }
    for (const [place, { index, crop }] of requests.entries()) {
      if (outcomes[place] === outcome.done) this.verified[index] = 1;
      else if (outcomes[place] === outcome.other && crop) throw this.error(index, outsideReason(crop));
      else {
        const remedy = 'delete that file, and it is made again';
        throw this.error(index, `its pixels in ${this.name} are damaged: ${remedy}`);
      }
    }
  }

  /** Closes the file, after the reads that are under way. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private close(): void {
    // Nothing was written, so that there is nothing that could be lost.
    if (this.reads === 0) close(this.descriptor, () => {});
  }

  private size(index: number): ImageSize {
    const [width, height] = [this.table.sizes[2 * index], this.table.sizes[2 * index + 1]];
    if (width === undefined || height === undefined) {
      throw new RangeError(`there is no image ${index}, there are ${this.count}`);
    }
    return { width, height };
  }

  private error(index: number, reason: string): ImageError {
    return new ImageError(this.paths[index]!, reason);
  }
}
