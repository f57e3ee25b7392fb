import type { AddonImage } from './binding.js';
import type { Crop } from './crop.js';
import { ImageError } from './error.js';
import { type FilePart, partOfFile, readPart } from './file-part.js';
import { boxOfImage, withoutBox } from './image-box.js';
import { ParquetImages, type ParquetRow, parquetRowOf } from './parquet-images.js';

/** The pixels of an image, decoded already. */
export interface RawPixels {
  width: number;
  height: number;
  /** H×W×3 bytes of RGB, from the top. */
  data: Uint8Array;
}

/**
 * An image: the path of its file (of a box in it where it ends in `#xywh=left,top,width,height`, pixels of the EXIF-oriented
 * image: the box is the image then, and what lies around it is not seen; of a part of a file as `filePartPath` names it, or a row of a Parquet file as
 * `parquetRowPath` does, also with a box), the bytes that such a file holds (an upload, a row of a database), or its pixels. Bytes and
 * pixels must stay as they are until what reads them is done: one whose memory was transferred meanwhile is an ImageError.
 */
export type ImageInput = string | Uint8Array | RawPixels;

/** An image, and what errors call it. */
export interface NamedImage {
  image: ImageInput | FilePart | StoredRow;
  /** The path, with its box; of bytes and pixels their place in the list that was given. */
  name: string;
  /** The part of the file that is the image; left out: all of it. */
  box?: Crop | undefined;
}

/** An image in a row, and what reads it. */
export interface StoredRow extends ParquetRow {
  rows: ParquetImages;
}

/** @throws TypeError for what is no image input, naming its place */
export function namedImages(images: readonly ImageInput[]): NamedImage[] {
  const rows = new ParquetImages();
  return Array.from(images, (image, place) => namedImage(image, place, rows));
}

/** The same of one of many. @param rows reads those that lie in Parquet files */
export function namedImage(image: ImageInput, place: number, rows: ParquetImages): NamedImage {
  if (typeof image === 'string') {
    const box = boxOfImage(image);
    return { image: inStorage(withoutBox(image), rows), name: image, ...(box && { box }) };
  }
  if (image instanceof Uint8Array) return { image, name: `${place + 1} of those given (bytes)` };
  const { data, width, height } = (image ?? {}) as Partial<RawPixels>;
  if (!(data instanceof Uint8Array) || typeof width !== 'number' || typeof height !== 'number')
    throw new TypeError(
      `image ${place + 1} of those given: expected a path, a Uint8Array of a file's bytes, or { width, height, data } of RGB, got ${shown(image)}`,
    );
  return { image: { width, height, data }, name: `${place + 1} of those given (pixels)` };
}

function inStorage(path: string, rows: ParquetImages): string | FilePart | StoredRow {
  const part = partOfFile(path);
  if (part) return part;
  const row = parquetRowOf(path);
  return row ? { ...row, rows } : path;
}

function shown(image: unknown): string {
  if (image === null || typeof image !== 'object') return String(image);
  return `an object of ${Object.keys(image).slice(0, 5).join(', ') || 'nothing'}`;
}

export const isRaw = (image: NamedImage['image']): image is RawPixels =>
  typeof image === 'object' && 'data' in image;

/**
 * As the addon takes them; null, and what it cannot read, as nothing. At once where none lies in a Parquet file: bytes that were given
 * may be transferred as soon as nobody waits.
 */
export function inAddon(images: readonly (NamedImage | null)[]): AddonImage[] | Promise<AddonImage[]> {
  const given = images.map((one): AddonImage | StoredRow => {
    const image = one?.image;
    if (image === undefined) return '';
    if (typeof image === 'string' || image instanceof Uint8Array) return image;
    if ('offset' in image) return [image.path, image.offset, image.length];
    return 'row' in image ? image : '';
  });
  const isRow = (image: AddonImage | StoredRow): image is StoredRow =>
    typeof image === 'object' && 'rows' in image;
  if (!given.some(isRow)) return given as AddonImage[];
  return Promise.all(
    given.map((image, i) => (isRow(image) ? image.rows.read(image, images[i]!.name).catch(() => '') : image)),
  );
}

/** The path of a file, or the bytes of what is none by itself, which nobody else holds. @throws ImageError where it cannot be read */
export async function pathOrBytes(
  image: Exclude<NamedImage['image'], RawPixels>,
  name: string,
): Promise<string | Buffer> {
  if (typeof image === 'string') return image;
  if (image instanceof Uint8Array) return copyOfBytes(image, name);
  return 'offset' in image
    ? await readPart(image, name)
    : copyOfBytes(await image.rows.read(image, name), name);
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
