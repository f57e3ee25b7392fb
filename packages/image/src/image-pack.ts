import { close } from 'node:fs';
import { native, outcome, runNative } from './binding.js';
import type { DecodeOptions } from './bounded.js';
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

  /** Images that could not be read when the pack was made, and have no pixels in it. */
  get unread(): number[] {
    return Array.from({ length: this.count }, (_, index) => index).filter((index) => this.isUnread(index));
  }

  /** As ImageSet.sizes: the sizes in the pack, reduced as they are. */
  async sizes(indices: Iterable<number>, { onBad }: DecodeOptions = {}): Promise<ImageSize[]> {
    return Array.from(indices, (index, place) => {
      if (this.isUnread(index)) report(this.unreadError(index), place, onBad);
      return this.size(index);
    });
  }

  /**
   * As ImageSet.read; crops are in pixels of the reduced images.
   * @throws ImageError, unless `options.onBad` is told, naming the first image that is not in the pack or damaged there,
   *   or outside of which the crop lies; RangeError if `out` has another size or an image is not there; Error after `dispose`
   */
  async read(requests: readonly SetRequest[], out: Uint8Array, options: DecodeOptions = {}): Promise<void> {
    if (this.disposed) throw new Error('this ImagePack has been disposed');
    placesIn(out, requests);
    if (requests.length === 0) return;
    const places = new Float64Array(requests.length * 5);
    for (const [place, { index }] of requests.entries()) {
      const { offsets, checksums } = this.table;
      // In the place of one that is not there, a pixel is read that nobody uses.
      const unread = this.isUnread(index);
      const { width, height } = unread ? { width: 1, height: 1 } : this.size(index);
      const verify = unread || this.verified[index] === 1 ? 0 : 1;
      places.set([offsets[index]!, width, height, checksums[index]!, verify], place * 5);
    }
    const outcomes = new Uint8Array(requests.length);
    this.reads++;
    try {
      await runNative(options, (threads, job) =>
        native.readPixels(this.descriptor, places, encodeRequests(requests), out, outcomes, threads, job),
      );
    } finally {
      this.reads--;
      if (this.disposed) this.close();
    }
    for (const [place, { index, crop }] of requests.entries()) {
      if (this.isUnread(index)) report(this.unreadError(index), place, options.onBad);
      else if (outcomes[place] === outcome.done) this.verified[index] = 1;
      else {
        const outside = outcomes[place] === outcome.other && crop;
        const damaged = `its pixels in ${this.name} are damaged: delete that file, and it is made again`;
        report(this.error(index, outside ? outsideReason(crop) : damaged), place, options.onBad);
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

  private isUnread(index: number): boolean {
    return this.size(index).width === 0;
  }

  private unreadError(index: number): ImageError {
    return this.error(index, `it could not be read when ${this.name} was made`);
  }

  private error(index: number, reason: string): ImageError {
    return new ImageError(this.paths[index]!, reason);
  }
}

function report(error: ImageError, place: number, onBad: DecodeOptions['onBad']): void {
  if (!onBad) throw error;
  onBad(error, place);
}
