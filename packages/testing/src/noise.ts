import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import sharp from 'sharp';

/** A picture whose pixels look random, and are the same each time; its format is by the file's name. */
export async function writeNoise(path: string, width: number, height: number, seed: number): Promise<void> {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * at * 31 + seed) % 251);
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(path);
}

/** Sides of images in pixels: smaller than a short side of some 30, odd, wide, high, and much larger. */
export const oddSizes = [
  [26, 26],
  [41, 29],
  [33, 64],
  [20, 61],
  [300, 211],
  [64, 64],
] as const;
