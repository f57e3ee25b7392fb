import type { ImageSize } from './pixels.js';

/** A rectangle in whole pixels of the EXIF-oriented image. */
export interface Crop {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** What is wanted of one image. */
export interface ImageRequest {
  /** The part of the image that is read; default the whole image. */
  crop?: Crop | undefined;
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

/** The requests as the addon takes them: 8 numbers each. */
export function encodeRequests(requests: readonly ImageRequest[]): Int32Array {
  const numbers = new Int32Array(requests.length * 8);
  for (const [index, { crop, size, fit, flip }] of requests.entries()) {
    const at = index * 8;
    // A width of 0 stands for the whole image.
    if (crop) numbers.set([crop.left, crop.top, crop.width || -1, crop.height], at);
    numbers.set([size.width, size.height, flip ? 1 : 0, fit === 'cover' ? 1 : 0], at + 4);
  }
  return numbers;
}

export function outsideReason({ left, top, width, height }: Crop): string {
  return `the crop ${width}×${height} at (${left}, ${top}) lies outside of the image`;
}
