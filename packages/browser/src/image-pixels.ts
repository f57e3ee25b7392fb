/** Pixels row by row, from the top left: RGB as a decoder gives them, or RGBA, which is laid over white. */
export interface Pixels {
  width: number;
  height: number;
  /** height × width × 3 or 4 */
  data: Uint8Array | Uint8ClampedArray;
}

/** A file (a Blob), an element, a frame of a video, a canvas, or pixels. */
export type ImageSource = ImageBitmapSource | Pixels;

/** As many pixels as conquer takes. */
const MOST = 2 ** 27;

/**
 * The pixels of an image as conquer decodes it: its EXIF orientation applied, transparency over white, in RGB.
 *
 * @throws Error where it cannot be decoded or is too large; TypeError for pixels whose number is another
 */
export async function imagePixels(image: ImageSource): Promise<Pixels> {
  if (isPixels(image)) return opaque(image);
  const bitmap = await createImageBitmap(image, {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
    // Other profiles than sRGB are converted to it, as conquer does: those of telephones are.
    colorSpaceConversion: 'default',
  }).catch((error: Error) => {
    const kind = image instanceof Blob ? `${image.type || 'a file'} of ${image.size} bytes` : typeof image;
    throw new Error(
      `the image cannot be decoded: expected JPEG, PNG, WebP or what else this browser reads, got ${kind} (${error.message})`,
    );
  });
  try {
    const { width, height } = bitmap;
    if (width * height > MOST)
      throw new Error(`the image is too large: expected at most ${MOST} pixels, got ${width} × ${height}`);
    // On the processor: what was drawn by a graphics card may come back rounded otherwise.
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error(`the browser gave no canvas of ${width} × ${height}`);
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    return opaque(context.getImageData(0, 0, width, height));
  } finally {
    bitmap.close();
  }
}

const isPixels = (image: ImageSource): image is Pixels => 'data' in image && !(image instanceof Blob);

/** RGB over white. */
function opaque({ width, height, data }: Pixels): Pixels {
  const count = width * height;
  if (!(count > 0) || (data.length !== 3 * count && data.length !== 4 * count))
    throw new TypeError(
      `pixels: expected ${width} × ${height} × 3 or 4 bytes of RGB or RGBA, got ${data.length}`,
    );
  if (data.length === 3 * count) return { width, height, data: new Uint8Array(data) };
  const rgb = new Uint8Array(3 * count);
  for (let from = 0, to = 0; to < rgb.length; from += 4) {
    const alpha = data[from + 3]!;
    for (let channel = 0; channel < 3; channel++)
      rgb[to++] = 255 - Math.ceil(((255 - data[from + channel]!) * alpha) / 255);
  }
  return { width, height, data: rgb };
}
