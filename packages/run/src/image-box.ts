/** How a path names a box in a file, as W3C's Media Fragments do; the image package reads it as an image. */
const FRAGMENT = /#xywh=(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})$/;

/** The file that an image's path leads to: without the box in it, if it names one. */
export function fileOfImage(path: string): string {
  return path.replace(FRAGMENT, '');
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
