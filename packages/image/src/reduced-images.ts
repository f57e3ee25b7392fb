import { native, outcome, runNative } from './binding.js';
import type { DecodeOptions } from './bounded.js';
import { ImageError } from './error.js';
import { ImageFiles } from './image-files.js';
import type { ImageInput } from './image-input.js';
import type { ImageSet, SetRequest } from './image-set.js';
import type { ImageSize } from './pixels.js';
import { decodeReduced, imagesAtOnce, type Reduction, reducedSize } from './reduction.js';
import { encodeRequests, outsideReason, placesIn } from './request.js';

/**
 * Image files as a pack of them holds them, bit for bit, without one: reduced when they are read, to 8 bits, and parts
 * are cut out of that. Nothing stays open: there is nothing to dispose.
 */
export class ReducedImages implements ImageSet {
  readonly count: number;
  private readonly files: ImageFiles;

  /** @param images paths, bytes or pixels of the N images; nothing is read yet @throws TypeError for anything else */
  constructor(
    images: readonly ImageInput[],
    private readonly reduction: Reduction,
  ) {
    this.count = images.length;
    this.files = new ImageFiles(images);
  }

  /** As ImageSet.sizes: the reduced sizes. */
  async sizes(indices: Iterable<number>, options: DecodeOptions = {}): Promise<ImageSize[]> {
    const sizes = await this.files.sizes(indices, options);
    return sizes.map((size) => (size.width === 0 ? size : reducedSize(size, this.reduction)));
  }

  /** As ImageSet.read; crops are in pixels of the reduced images. */
  async read(requests: readonly SetRequest[], out: Uint8Array, options: DecodeOptions = {}): Promise<void> {
    const places = placesIn(out, requests);
    const { onBad } = options;
    for (let start = 0; start < requests.length; ) {
      const from = start;
      const tell = onBad && ((error: ImageError, place: number) => onBad(error, from + place));
      const wanted = requests.slice(from, from + imagesAtOnce);
      const block = await decodeReduced(
        wanted.map(({ index }) => this.files.named(index)),
        this.reduction,
        { ...options, onBad: tell },
      );
      const taken = wanted.slice(0, block.sizes.length);
      const end = from + taken.length;
      const into = out.subarray(places[from], places[end] ?? out.length);
      const outcomes = await cutOut(taken, block.sizes, block.pixels, into, options);
      for (const [place, { index, crop }] of taken.entries()) {
        if (block.sizes[place]!.width === 0 || outcomes[place] === outcome.done) continue;
        const reason = crop ? outsideReason(crop) : 'there is not enough memory to resize it';
        const error = new ImageError(this.files.named(index).name, reason);
        if (!tell) throw error;
        tell(error, place);
      }
      start = end;
    }
  }
}

/** Resizes what is requested of images that lie one after the other in memory. @returns an outcome each */
async function cutOut(
  requests: readonly SetRequest[],
  sizes: readonly ImageSize[],
  pixels: Uint8Array,
  out: Uint8Array,
  options: DecodeOptions,
): Promise<Uint8Array> {
  const outcomes = new Uint8Array(requests.length);
  if (pixels.length === 0) return outcomes;
  const places = new Float64Array(requests.length * 5);
  let offset = 0;
  const parts = requests.map((request, place) => {
    const { width, height } = sizes[place]!;
    // In the place of one that could not be read, a pixel is read that nobody uses.
    if (width === 0) places.set([0, 1, 1, 0, 0], place * 5);
    else places.set([offset, width, height, 0, 0], place * 5);
    offset += width * height * 3;
    return width === 0 ? { size: request.size } : request;
  });
  await runNative(options, (threads, job) =>
    native.readPixels(pixels, places, encodeRequests(parts), out, outcomes, threads, job),
  );
  return outcomes;
}
