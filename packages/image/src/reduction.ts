import type { DecodeOptions } from './bounded.js';
import { decodeNamed } from './decode.js';
import type { ImageError } from './error.js';
import type { NamedImage } from './image-input.js';
import { type ImageSize, sizesOf } from './pixels.js';
import type { ImageRequest, ResizeFilter } from './request.js';

/** How images are made smaller before parts of them are read. */
export interface Reduction {
  /** Length in pixels that the short side is reduced to. Smaller images stay as they are, unless `square`. */
  size: number;
  /**
   * Resize every image to cover `size`×`size` and cut it at the centre, instead of keeping its ratio. Default
   * false.
   */
  square?: boolean | undefined;
  /**
   * Resize the whole image as an evaluation does that cuts the centre out of it afterwards, with this filter: the long side is
   * rounded down, as timm and torchvision do it. Left out: with a triangle, to the nearest pixel. Not with `square`.
   */
  filter?: ResizeFilter | undefined;
  /** With `filter`: to `size`×`size`, whatever its sides, larger ones too. Default false. */
  squash?: boolean | undefined;
}

/** Images that are held decoded at once, at most; also a bound of their bytes, but for a single one. */
export const imagesAtOnce = 256;
const blockBytes = 2 ** 26;
/** Of a reduced image, in pixels. */
const longestSide = 65_535;

/** Images one after the other, H×W×3 bytes of RGB each. */
export interface ReducedBlock {
  /** 0×0 for one that cannot be read, which has no pixels. */
  sizes: ImageSize[];
  pixels: Uint8Array;
}

/**
 * The first of these images, as many as fit into memory at once and at least one, reduced.
 *
 * @returns as many sizes as images were taken
 * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read
 */
export async function decodeReduced(
  images: readonly NamedImage[],
  reduction: Reduction,
  options: DecodeOptions,
): Promise<ReducedBlock> {
  const { size, square = false, squash = false } = reduction;
  const { onBad } = options;
  const bad = new Map<number, ImageError>();
  const noting = (places: readonly number[]): DecodeOptions => ({
    ...options,
    onBad: onBad && ((error, place) => bad.set(places[place]!, error)),
  });
  const first = images.slice(0, imagesAtOnce);
  const all = [...first.keys()];
  let sizes =
    square || squash
      ? first.map(() => ({ width: size, height: size }))
      : (await sizesOf(first, noting(all))).map((image, place) =>
          bad.has(place) ? nothing : reducedSize(image, reduction),
        );
  // Long panoramas: as many as fit into memory, and at least one.
  let bytes = 0;
  const tooMany = sizes.findIndex((image) => {
    bytes += bytesOf(image);
    return bytes > blockBytes;
  });
  if (tooMany >= 0) sizes = sizes.slice(0, Math.max(1, tooMany));

  const places = [...sizes.keys()].filter((place) => !bad.has(place));
  const requests = places.map((place) => ({
    ...first[place]!,
    ...requestOf(sizes[place]!, reduction),
  }));
  const pixels = new Uint8Array(sizes.reduce((sum, image) => sum + bytesOf(image), 0));
  await decodeNamed(requests, pixels, noting(places));
  // Close the gaps of those that failed only now.
  let [from, to] = [0, 0];
  for (const place of places) {
    const length = bytesOf(sizes[place]!);
    if (bad.has(place)) sizes[place] = nothing;
    else {
      if (to < from) pixels.copyWithin(to, from, from + length);
      to += length;
    }
    from += length;
  }
  for (const place of sizes.keys()) {
    const error = bad.get(place);
    if (error) onBad?.(error, place);
  }
  return { sizes, pixels: pixels.subarray(0, to) };
}

/** What makes of an image its reduced one; as evaluation asks for it where that resizes the whole, so that the bytes are the same. */
function requestOf(size: ImageSize, { square = false, filter }: Reduction): ImageRequest {
  if (filter === undefined) return { size, fit: square ? 'cover' : 'fill' };
  return { size, whole: size, crop: { left: 0, top: 0, ...size }, filter };
}

const nothing: ImageSize = { width: 0, height: 0 };

function bytesOf({ width, height }: ImageSize): number {
  return width * height * 3;
}

/** What becomes of an image of this size. */
export function reducedSize(
  { width, height }: ImageSize,
  { size, square = false, squash = false, filter }: Reduction,
): ImageSize {
  if (square || squash) return { width: size, height: size };
  const short = Math.min(width, height);
  const long = Math.floor((size * Math.max(width, height)) / short);
  if (filter !== undefined && size <= short && long <= longestSide)
    return width <= height ? { width: size, height: long } : { width: long, height: size };
  const scale = Math.min(1, size / short, longestSide / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
