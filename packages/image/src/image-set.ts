import type { DecodeOptions } from './bounded.js';
import type { ImageSize } from './pixels.js';
import type { ImageRequest } from './request.js';

/** What is wanted of one image of a set. */
export interface SetRequest extends ImageRequest {
  /** Position of the image in the set. */
  index: number;
}

/** A numbered set of images, wherever their pixels come from. */
export interface ImageSet {
  /** The number of images; their positions are 0..count-1. */
  readonly count: number;
  /**
   * The oriented sizes of the images at these positions, in their order, in pixels; 0×0 for those that
   * `options.onBad` was told of.
   * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read; RangeError for
   *   a position that is not there
   */
  sizes(indices: Iterable<number>, options?: DecodeOptions): Promise<ImageSize[]>;
  /**
   * Reads what is requested into `out`, H×W×3 bytes of RGB each, one after the other. What it holds of an image that
   * `options.onBad` was told of is undefined. Images may be found to be bad here only.
   * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read; RangeError if `out` has another size, or
   *   for a position that is not there
   */
  read(requests: readonly SetRequest[], out: Uint8Array, options?: DecodeOptions): Promise<void>;
}
