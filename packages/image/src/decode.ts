import { ImageError } from './error.js';
import { type ImageSize, imageError, openImage } from './pixels.js';

/** A rectangle in whole pixels of the EXIF-oriented image. */
export interface Crop {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** What is wanted of one image file. */
export interface DecodeRequest {
  path: string;
  /** The part of the image that is read; default the whole image. */
  crop?: Crop | undefined;
  /** The size the part is resized to. */
  size: ImageSize;
  /** What happens where the shapes differ: `fill` (default) stretches, `cover` keeps the ratio and cuts the sides. */
  fit?: 'fill' | 'cover' | undefined;
  /** Mirror left to right. */
  flip?: boolean | undefined;
}

export interface DecodeOptions {
  /**
   * Images handed to libuv's thread pool at once; as many run as the pool has threads (`UV_THREADPOOL_SIZE`,
   * 4 by default). More than that keep the pool busy while the event loop is blocked by a training step.
   */
  concurrency?: number | undefined;
  /** Ends the decoding early; what runs already is waited for. */
  signal?: AbortSignal | undefined;
}

/**
 * Decodes image files into one buffer of pixels, B×H×W×3, RGB, 8 bits; all requests have one size.
 *
 * Formats: JPEG, PNG, WebP, SVG, GIF, TIFF and AVIF. Whatever they hold becomes 8-bit sRGB (greyscale, CMYK,
 * palettes, 16 bits, colour profiles); transparency lies over white; of an animation the first frame counts.
 * Resizing is bilinear with antialiasing (a triangle filter as wide as the reduction).
 *
 * When the promise rejects, nothing writes to `out` any more.
 * @throws ImageError naming the first file that cannot be read; RangeError if `out` has another size
 */
export async function decodeImages(
  requests: readonly DecodeRequest[],
  out: Uint8Array,
  options: DecodeOptions = {},
): Promise<void> {
  const first = requests[0];
  if (first === undefined) return;
  const { width, height } = first.size;
  const bytes = width * height * 3;
  if (requests.some(({ size }) => size.width !== width || size.height !== height)) {
    throw new RangeError(`decodeImages: all requests must have one size, the first has ${width}×${height}`);
  }
  if (out.length !== requests.length * bytes) {
    throw new RangeError(
      `decodeImages: expected a buffer of ${requests.length}×${height}×${width}×3 = ${requests.length * bytes} bytes, got ${out.length}`,
    );
  }
  await forEachBounded(requests, options, async (request, index) => {
    out.set(await decode(request), index * bytes);
  });
}

/** Runs `work` on every item, `concurrency` at a time; after a failure nothing new starts and all is awaited. */
export async function forEachBounded<T>(
  items: readonly T[],
  { concurrency = 128, signal }: DecodeOptions,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < items.length && !failed) {
      signal?.throwIfAborted();
      const index = next++;
      await work(items[index] as T, index);
    }
  };
  const lanes = Array.from({ length: Math.max(1, Math.min(concurrency, items.length)) }, () =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

async function decode({ path, crop, size, fit = 'fill', flip = false }: DecodeRequest): Promise<Uint8Array> {
  try {
    let pipeline = openImage(path);
    if (crop) pipeline = pipeline.extract(crop);
    pipeline = pipeline.resize({ width: size.width, height: size.height, fit, kernel: 'linear' });
    if (flip) pipeline = pipeline.flop();
    const { data, info } = await pipeline
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3)
      throw new ImageError(path, `it decodes to ${info.channels} channels instead of 3`);
    return data;
  } catch (error) {
    if (crop && error instanceof Error && /extract/.test(error.message)) {
      const { left, top, width, height } = crop;
      throw new ImageError(
        path,
        `the crop ${width}×${height} at (${left}, ${top}) lies outside of the image`,
        {
          cause: error,
        },
      );
    }
    throw await imageError(path, error);
  }
}
