import { join } from 'node:path';
import sharp from 'sharp';
import { Random } from '../random.js';

/** Pixels of a side. */
export const PATTERN_SIDE = 16;

/** Writes photos `0-0.png` … of things: four patches of colours each, under noise that differs from view to view. */
export async function writePatternedPhotos(folder: string, things: number, views: number): Promise<void> {
  const random = new Random(3);
  const side = PATTERN_SIDE;
  for (let thing = 0; thing < things; thing++) {
    const pattern = Array.from({ length: 12 }, () => random.int(110));
    for (let view = 0; view < views; view++) {
      const pixels = Buffer.alloc(side * side * 3);
      for (let i = 0; i < pixels.length; i++) {
        const [row, column] = [Math.floor(i / 3 / side), Math.floor(i / 3) % side];
        const patch = (row < side / 2 ? 0 : 2) + (column < side / 2 ? 0 : 1);
        pixels[i] = pattern[patch * 3 + (i % 3)]! + random.int(145);
      }
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toFile(join(folder, `${thing}-${view}.png`));
    }
  }
}

/** Lines of so many pairs of these photos, from one thing on: every second one the same. */
export function pairLines(
  things: { from: number; count: number },
  views: number,
  pairs: number,
  end = '',
): string[] {
  const random = new Random(things.from);
  const lines = new Map<string, string>();
  while (lines.size < pairs) {
    const same = lines.size % 2 === 1;
    const thing = random.int(things.count);
    const other = same ? thing : (thing + 1 + random.int(things.count - 1)) % things.count;
    const view = random.int(views);
    const another = same ? (view + 1 + random.int(views - 1)) % views : random.int(views);
    const names = [`${things.from + thing}-${view}.png`, `${things.from + other}-${another}.png`];
    const key = [...names].sort().join();
    if (!lines.has(key)) lines.set(key, `${names},${same ? 'same' : 'different'}${end}`);
  }
  return [...lines.values()];
}
