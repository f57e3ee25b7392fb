import { decodeImages, imageSize, type RawPixels } from '@conquer-dml/image';

/** All pixels of an image as a decoder gives them: RGB, its orientation applied. @throws ImageError where it cannot be read */
export async function photoPixels(path: string): Promise<RawPixels> {
  const size = await imageSize(path);
  const data = new Uint8Array(size.width * size.height * 3);
  await decodeImages([{ image: path, size }], data);
  return { ...size, data };
}

/** Pictures for want of photos: a few waves of colour, in several shapes. */
export function drawnPictures(): RawPixels[] {
  const sizes = [
    [320, 240],
    [240, 301],
    [517, 333],
    [97, 111],
  ] as const;
  return sizes.map(([width, height], picture) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let channel = 0; channel < 3; channel++) {
          const wave =
            Math.sin((x * (channel + 1)) / (9 + 7 * picture)) + Math.cos((y + 13 * channel) / (11 + picture));
          data[(y * width + x) * 3 + channel] = Math.round(127.5 + 63 * wave);
        }
    return { width, height, data };
  });
}
