import type { Crop } from './crop.js';

/** As W3C's Media Fragments names a part of an image: left, top, width and height in pixels. */
const FRAGMENT = /#xywh=(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})$/;

/** The file that a path leads to: without the box in it, if it names one. */
export function fileOfImage(path: string): string {
  return path.replace(FRAGMENT, '');
}

/** What a path says of a box, `#xywh=left,top,width,height` at its end or nothing. */
export function fragmentOfImage(path: string): string {
  return FRAGMENT.exec(path)?.[0] ?? '';
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
  if (fileOfImage(path) !== file || width < 1 || height < 1)
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
