import type { DecodeOptions } from './bounded.js';
import { decodeNamed } from './decode.js';
import type { ImageError } from './error.js';
import type { NamedImage } from './image-input.js';
import { type ImageSize, sizesOf } from './pixels.js';

/** How images are made smaller before parts of them are read. */
export interface Reduction {
  /** Length in pixels that the short side is reduced to. Smaller images stay as they are, unless `square`. */
  size: number;
  /**
   * Resize every image to cover `size`×`size` and cut it at the centre, instead of keeping its ratio. Default
   * false.
   */
  square?: boolean | undefined;
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
  { size, square = false }: Reduction,
  options: DecodeOptions,
): Promise<ReducedBlock> {
  const { onBad } = options;
  const bad = new Map<number, ImageError>();
  const noting = (places: readonly number[]): DecodeOptions => ({
    ...options,
    onBad: onBad && ((error, place) => bad.set(places[place]!, error)),
  });
  const first = images.slice(0, imagesAtOnce);
  const all = [...first.keys()];
  let sizes = square
    ? first.map(() => ({ width: size, height: size }))
    : (await sizesOf(first, noting(all))).map((image, place) =>
        bad.has(place) ? nothing : reducedSize(image, { size }),
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
    size: sizes[place]!,
    fit: square ? ('cover' as const) : ('fill' as const),
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

const nothing: ImageSize = { width: 0, height: 0 };

function bytesOf({ width, height }: ImageSize): number {
  return width * height * 3;
}

/** What becomes of an image of this size. */
export function reducedSize({ width, height }: ImageSize, { size, square = false }: Reduction): ImageSize {
  if (square) return { width: size, height: size };
  const scale = Math.min(1, size / Math.min(width, height), longestSide / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
