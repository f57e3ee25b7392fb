import type { Crop } from './crop.js';
import { ImageError } from './error.js';
import { boxOfImage, fileOfImage } from './image-box.js';

/** The pixels of an image, decoded already. */
export interface RawPixels {
  width: number;
  height: number;
  /** H×W×3 bytes of RGB, from the top. */
  data: Uint8Array;
}

/**
 * An image: the path of its file (of a box in it where it ends in `#xywh=left,top,width,height`, pixels of the EXIF-oriented
 * image: the box is the image then, and what lies around it is not seen), the bytes that such a file holds (an upload, a row of a database), or its pixels. Bytes and
 * pixels must stay as they are until what reads them is done: one whose memory was transferred meanwhile is an ImageError.
 */
export type ImageInput = string | Uint8Array | RawPixels;

/** An image, and what errors call it. */
export interface NamedImage {
  image: ImageInput;
  /** The path, with its box; of bytes and pixels their place in the list that was given. */
  name: string;
  /** The part of the file that is the image; left out: all of it. */
  box?: Crop | undefined;
}

/** @throws TypeError for what is no image input, naming its place */
export function namedImages(images: readonly ImageInput[]): NamedImage[] {
  return Array.from(images, (image, place) => {
    if (typeof image === 'string') {
      const box = boxOfImage(image);
      return box ? { image: fileOfImage(image), name: image, box } : { image, name: image };
    }
    if (image instanceof Uint8Array) return { image, name: `${place + 1} of those given (bytes)` };
    const { data, width, height } = (image ?? {}) as Partial<RawPixels>;
    if (!(data instanceof Uint8Array) || typeof width !== 'number' || typeof height !== 'number')
      throw new TypeError(
        `image ${place + 1} of those given: expected a path, a Uint8Array of a file's bytes, or { width, height, data } of RGB, got ${shown(image)}`,
      );
    return { image: { width, height, data }, name: `${place + 1} of those given (pixels)` };
  });
}

function shown(image: unknown): string {
  if (image === null || typeof image !== 'object') return String(image);
  return `an object of ${Object.keys(image).slice(0, 5).join(', ') || 'nothing'}`;
}

/** As the addon takes it: pixels are none of its formats. */
export function inAddon({ image }: NamedImage): string | Uint8Array {
  return typeof image === 'string' || image instanceof Uint8Array ? image : '';
}

/**
 * A copy that nobody else can transfer or shrink while libvips' threads read it.
 * @throws ImageError where there is nothing any more
 */
export function copyOfBytes(bytes: Uint8Array, name: string): Buffer {
  if (bytes.length === 0)
    throw new ImageError(name, 'there are no bytes (or their memory was transferred before they were read)');
  return Buffer.from(bytes);
}

/** The pixels, checked. @throws ImageError where they do not fit the size, or are more than `limit` */
export function checkedPixels({ width, height, data }: RawPixels, name: string, limit: number): RawPixels {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new ImageError(name, `expected a width and a height of whole pixels, got ${width}×${height}`);
  if (width * height > limit)
    throw new ImageError(name, `it holds more than ${limit} pixels, which is the limit`);
  if (data.length !== width * height * 3)
    throw new ImageError(
      name,
      `expected ${height}×${width}×3 = ${width * height * 3} bytes of RGB, got ${data.length}`,
    );
  return { width, height, data };
}
