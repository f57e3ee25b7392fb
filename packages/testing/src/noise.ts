import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import sharp from 'sharp';

/** A picture whose pixels look random, and are the same each time; its format is by the file's name. */
export async function writeNoise(path: string, width: number, height: number, seed: number): Promise<void> {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * at * 31 + seed) % 251);
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(path);
}
