/** How a path names a box in a file, as W3C's Media Fragments do; the image package reads it as an image. */
const FRAGMENT = /#xywh=(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})$/;

/** How it names a part of a file of many images, or a row of a Parquet file; the image package does. */
const PART = /#[^#]*&(?:bytes=(\d{1,15}),(\d{1,10})|row=\d{1,15})$/;

/** The file that an image's path leads to: without the box, the part or the row in it, if it names one. */
export function fileOfImage(path: string): string {
  return path.replace(FRAGMENT, '').replace(PART, '');
}

/** Where in its file the bytes of an image lie; 'row': in a row of a Parquet file; null: the file is the image. */
export function partOfImage(path: string): { offset: number; length: number } | 'row' | null {
  const found = PART.exec(path.replace(FRAGMENT, ''));
  if (!found) return null;
  return found[1] === undefined ? 'row' : { offset: Number(found[1]), length: Number(found[2]) };
}

/** The box that a path names, in pixels of the EXIF-oriented image; null: the whole image. */
export function boxOfImage(
  path: string,
): { left: number; top: number; width: number; height: number } | null {
  const found = FRAGMENT.exec(path);
  if (!found) return null;
  const [left, top, width, height] = found.slice(1).map(Number) as [number, number, number, number];
  return { left, top, width, height };
}
