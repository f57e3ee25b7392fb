import type { Crop } from './crop.js';
import { partOfFile } from './file-part.js';
import { parquetRowOf } from './parquet-images.js';

/** As W3C's Media Fragments names a part of an image: left, top, width and height in pixels. */
const FRAGMENT = /#xywh=(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})$/;

/** The file that a path leads to: without the box, the part or the row in it, if it names one. */
export function fileOfImage(path: string): string {
  const image = withoutBox(path);
  return partOfFile(image)?.path ?? parquetRowOf(image)?.path ?? image;
}

/** What a path says beside its file: the part or row, and `#xywh=left,top,width,height` for a box; or nothing. */
export function fragmentOfImage(path: string): string {
  return path.slice(fileOfImage(path).length);
}

/** The path of the image that a box is in. */
export function withoutBox(path: string): string {
  return path.replace(FRAGMENT, '');
}

/** The box in the file that a path names, in pixels of the EXIF-oriented image; null: the whole image. */
export function boxOfImage(path: string): Crop | null {
  const found = FRAGMENT.exec(path);
  if (!found) return null;
  const [left, top, width, height] = found.slice(1).map(Number) as [number, number, number, number];
  return { left, top, width, height };
}

/** The path of a box in a file. @throws RangeError unless it is of whole pixels, at least one each way */
export function imageBoxPath(file: string, { left, top, width, height }: Crop): string {
  const path = `${file}#xywh=${left},${top},${width},${height}`;
  if (withoutBox(path) !== file || width < 1 || height < 1)
    throw new RangeError(
      `expected a box of whole pixels, its sides at least 1, got x ${left}, y ${top}, w ${width}, h ${height}`,
    );
  return path;
}

/** A crop of a box in pixels of the image; null where it is not inside of the box. */
export function inImage(box: Crop, crop: Crop | undefined): Crop | null {
  if (!crop) return box;
  const { left, top, width, height } = crop;
  const fits =
    left >= 0 &&
    top >= 0 &&
    width > 0 &&
    height > 0 &&
    left + width <= box.width &&
    top + height <= box.height;
  return fits ? { left: box.left + left, top: box.top + top, width, height } : null;
}
