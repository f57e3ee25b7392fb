import { boxOfImage, imageSizes } from '@conquer-dml/image';
import { fileOfImage, UserError } from '@conquer-dml/run';

/**
 * Sees to it that boxes lie inside of their images, by the files' headers; a file that cannot be read is told of where it is.
 *
 * @throws UserError with the line of the first that does not
 */
export async function refuseBoxesOutside(
  images: readonly { path: string; line: number }[],
  file: string,
): Promise<void> {
  const boxed = images.filter(({ path }) => path.includes('#') && boxOfImage(path) !== null);
  const files = [...new Set(boxed.map(({ path }) => fileOfImage(path)))];
  const found = await imageSizes(files, { onBad: () => {} });
  const sizes = new Map(files.map((path, at) => [path, found[at]!]));
  for (const { path, line } of boxed) {
    const { left, top, width, height } = boxOfImage(path)!;
    const size = sizes.get(fileOfImage(path))!;
    if (size.width === 0 || (left + width <= size.width && top + height <= size.height)) continue;
    throw new UserError(
      `${file}, line ${line}: expected a box inside of ${fileOfImage(path)}, which has ${size.width}×${size.height} pixels as it is seen (after its EXIF orientation), got x ${left}, y ${top}, w ${width}, h ${height}`,
    );
  }
}
