import type { Sharp } from 'sharp';
import { native, outcome, runNative } from './binding.js';
import { type DecodeOptions, forEachImage } from './bounded.js';
import { ImageError } from './error.js';
import { inImage } from './image-box.js';
import { type ImageInput, inAddon, type NamedImage, namedImages } from './image-input.js';
import { type ImageSize, pixelLimit, withImage } from './pixels.js';
import { encodeRequests, type ImageRequest, outsideReason, placesIn, requestBytes } from './request.js';

/** What is wanted of an image. */
export interface DecodeRequest extends ImageRequest {
  /** Its path, its bytes or its pixels. */
  image: ImageInput;
}

/** The same of an image that has its name. */
export type NamedRequest = ImageRequest & NamedImage;

/**
 * Decodes images into one buffer of pixels: the requests' H×W×3 bytes of RGB, one after the other.
 *
 * JPEG goes through libjpeg-turbo on the addon's own threads, which decodes only the rows and columns of the
 * crop and reduces a much larger image while it decodes. JPEG in CMYK, with a colour profile other than sRGB
 * or with errors, and everything else (PNG, WebP, SVG, GIF, TIFF, AVIF) goes through sharp on libuv's
 * threads; BMP, which sharp does not read, through `decodeBitmap` before, and pixels through sharp too. From its bytes an image becomes what it becomes from its file.
 * Whatever the files hold becomes 8-bit sRGB (greyscale, CMYK, palettes, 16 bits, colour profiles);
 * transparency lies over white; of an animation the first frame counts. Resizing is bilinear with
 * antialiasing (a triangle filter as wide as the reduction), as Pillow's; or bicubic, where a request says so.
 *
 * A JPEG that was cut short is found whatever the crop; damage below the crop is not seen.
 *
 * When the promise rejects, nothing writes to `out` any more. What `out` holds of an image that `options.onBad` was told of
 * is undefined.
 * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read (one without a path by its place), that has more than
 *   `pixelLimit` pixels, or outside of which the crop lies; RangeError if `out` has another size; the reason of `options.signal`
 *   after it was aborted; TypeError for what is neither a path, nor bytes, nor pixels
 */
export async function decodeImages(
  requests: readonly DecodeRequest[],
  out: Uint8Array,
  options: DecodeOptions = {},
): Promise<void> {
  const named = namedImages(requests.map(({ image }) => image));
  await decodeNamed(
    requests.map((request, place) => ({ ...request, ...named[place]! })),
    out,
    options,
  );
}

/** The same of images that have their names. */
export async function decodeNamed(
  requests: readonly NamedRequest[],
  out: Uint8Array,
  options: DecodeOptions = {},
): Promise<void> {
  const places = placesIn(out, requests);
  if (requests.length === 0) return;
  const outcomes = new Uint8Array(requests.length);
  const wanted = requests.map(ofImage);
  const asked = inAddon(wanted.map((request) => (request && isResizedBox(request) ? null : request)));
  const images = Array.isArray(asked) ? asked : await asked;
  await runNative(options, (threads, job) =>
    native.decodeFiles(
      images,
      encodeRequests(wanted.map((request, i) => request ?? requests[i]!)),
      out,
      outcomes,
      pixelLimit,
      threads,
      job,
    ),
  );
  const others = [...outcomes.keys()].filter((index) => outcomes[index] !== outcome.done);
  await forEachImage(others, options, async (index) => {
    const request = wanted[index];
    const { name, crop: asked } = requests[index]!;
    if (!request) throw new ImageError(name, outsideReason(asked!));
    if (isResizedBox(request)) {
      out.set(await resizedBox(request, options), places[index]!);
      return;
    }
    // sharp reads no further than the crop, and what lacks only the marker of its end is whole.
    if (outcomes[index] === outcome.short) await decodeToTheEnd(request);
    const { filter = 'bilinear', whole } = request;
    const decoded = filter === 'bilinear' && !whole ? decodeBySharp(request) : resampled(request, options);
    out.set(await decoded, places[index]!);
  });
}

/** Whether all of a box is resized before a part of it is cut out, which must not see what lies around the box. */
const isResizedBox = ({ box, whole }: NamedRequest) => box !== undefined && whole !== undefined;

/** What is wanted of a box, as of the image it lies in; null for a crop that is not inside of the box. */
function ofImage(request: NamedRequest): NamedRequest | null {
  const { box, crop } = request;
  if (!box || isResizedBox(request)) return request;
  const inside = inImage(box, crop);
  return inside && { ...request, crop: inside };
}

/** The box's pixels first, and of these what is wanted. */
async function resizedBox(request: NamedRequest, options: DecodeOptions): Promise<Uint8Array> {
  const { box, image, name } = request;
  const { width, height } = box!;
  const pixels = new Uint8Array(width * height * 3);
  const alone = { threads: options.threads ?? 1 };
  await decodeNamed([{ image, name, crop: box, size: { width, height } }], pixels, alone);
  return await ofPixels(request, pixels, { width, height }, options);
}

async function decodeToTheEnd(request: NamedRequest): Promise<void> {
  await withImage(request, (image) => image.stats());
}

async function decodeBySharp(request: NamedRequest): Promise<Uint8Array> {
  const { name, crop, size, fit = 'fill', flip = false } = request;
  return await withImage(request, async (image) => {
    try {
      let pipeline = crop ? image.extract(crop) : image;
      pipeline = pipeline.resize({ width: size.width, height: size.height, fit, kernel: 'linear' });
      if (flip) pipeline = pipeline.flop();
      return (await rawPixels(pipeline, name)).data;
    } catch (error) {
      if (crop && error instanceof Error && /extract/.test(error.message))
        throw new ImageError(name, outsideReason(crop), { cause: error });
      throw error;
    }
  });
}

/** What sharp decodes, resized by the addon, whose filters are Pillow's. */
async function resampled(request: NamedRequest, options: DecodeOptions): Promise<Uint8Array> {
  const { data, info } = await withImage(request, async (image) => await rawPixels(image, request.name));
  return await ofPixels(request, data, info, options);
}

/** What is wanted of an image whose pixels these are. */
async function ofPixels(
  request: NamedRequest,
  data: Uint8Array,
  { width, height }: ImageSize,
  options: DecodeOptions,
): Promise<Uint8Array> {
  const out = new Uint8Array(requestBytes(request));
  const outcomes = new Uint8Array(1);
  const place = new Float64Array([0, width, height, 0, 0]);
  // The caller looks at the signal between images: each would add a listener of its own.
  await runNative({ threads: options.threads ?? 1 }, (threads, job) =>
    native.readPixels(data, place, encodeRequests([request]), out, outcomes, threads, job),
  );
  if (outcomes[0] === outcome.done) return out;
  throw new ImageError(request.name, outsideReason(request.crop ?? { left: 0, top: 0, ...request.size }));
}

async function rawPixels(image: Sharp, name: string) {
  const { data, info } = await image
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new ImageError(name, `it decodes to ${info.channels} channels instead of 3`);
  return { data, info };
}
