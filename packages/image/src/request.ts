import type { Crop } from './crop.js';
import type { ImageSize } from './pixels.js';

/** How pixels are made of others: with a triangle, or Keys' cubic of a = -0.5, as wide as the reduction; as Pillow's. */
export type ResizeFilter = 'bilinear' | 'bicubic';

/** What is wanted of one image. */
export interface ImageRequest {
  /** The part of the image that is read; default the whole image. */
  crop?: Crop | undefined;
  /**
   * The size that the whole image is resized to first: `crop` is then in pixels of that, and of the size that is wanted. Left
   * out: the part is cut out of the image as it is, and what lies around it has no part in its border.
   */
  whole?: ImageSize | undefined;
  /** Default 'bilinear'. */
  filter?: ResizeFilter | undefined;
  /** The size the part is resized to, in pixels. */
  size: ImageSize;
  /** What happens where the shapes differ: `fill` (default) stretches, `cover` keeps the ratio and cuts the sides. */
  fit?: 'fill' | 'cover' | undefined;
  /** Mirror left to right; default false. */
  flip?: boolean | undefined;
}

/** Bytes of the pixels that a request asks for: height×width×3. */
export function requestBytes({ size }: ImageRequest): number {
  return size.width * size.height * 3;
}

/** Where each request's pixels begin when they lie one after the other in `out`. @throws RangeError if they do not fit */
export function placesIn(out: Uint8Array, requests: readonly ImageRequest[]): number[] {
  let end = 0;
  const places = requests.map((request) => {
    const place = end;
    end += requestBytes(request);
    return place;
  });
  if (out.length !== end) {
    throw new RangeError(
      `expected a buffer of ${end} bytes for ${requests.length} images, height×width×3 each, got ${out.length}`,
    );
  }
  return places;
}

/** Numbers of a request, as the addon takes it. */
const NUMBERS = 11;
/** The addon's, of a side of the whole: beyond it are only images a million times as long as wide. */
const MOST_WHOLE = 2 ** 30;

export function encodeRequests(requests: readonly ImageRequest[]): Int32Array {
  const numbers = new Int32Array(requests.length * NUMBERS);
  for (const [index, { crop, whole, filter, size, fit, flip }] of requests.entries()) {
    const at = index * NUMBERS;
    // A width of 0 stands for the whole image.
    if (crop) numbers.set([crop.left, crop.top, crop.width || -1, crop.height], at);
    numbers.set([size.width, size.height, flip ? 1 : 0, fit === 'cover' ? 1 : 0], at + 4);
    const [width, height] = [whole?.width ?? 0, whole?.height ?? 0].map((side) => Math.min(side, MOST_WHOLE));
    numbers.set([filter === 'bicubic' ? 1 : 0, width!, height!], at + 8);
  }
  return numbers;
}

export function outsideReason({ left, top, width, height }: Crop): string {
  return `the crop ${width}×${height} at (${left}, ${top}) lies outside of the image`;
}
