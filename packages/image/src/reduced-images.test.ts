import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { packImages, ReducedImages, type SetRequest } from './index.js';

let folder: string;
let paths: string[];
const shapes = [
  [20, 20],
  [97, 61],
  [30, 211],
  [7, 90],
  [1, 1],
  [64, 48],
];

beforeAll(async () => {
  folder = temporaryFolder();
  paths = await Promise.all(
    shapes.map(async ([width, height], i) => {
      const path = join(folder, `${i}.${i % 2 === 0 ? 'jpg' : 'png'}`);
      const noise = Buffer.from(
        Uint8Array.from({ length: width! * height! * 3 }, (_, at) => (at * 7919 * (i + 3)) % 251),
      );
      const raw = { width: width!, height: height!, channels: 3 as const };
      writeFileSync(
        path,
        await sharp(noise, { raw })
          .toFormat(i % 2 === 0 ? 'jpeg' : 'png')
          .toBuffer(),
      );
      return path;
    }),
  );
});

it('gives what a pack of the same images gives, bit for bit', async () => {
  for (const square of [false, true]) {
    const reduced = new ReducedImages(paths, { size: 24, square });
    using packed = await packImages(paths, { size: 24, square, file: join(folder, `${square}.pack`) });
    const order = [3, 0, 5, 5, 1, 2, 4];
    const sizes = await reduced.sizes(order);
    expect(sizes).toEqual(await packed.sizes(order));
    const requests = order.map(
      (index, i): SetRequest => ({
        index,
        size: { width: 9 + i, height: 11 },
        ...(i > 2 && { crop: { left: 0, top: 0, width: sizes[i]!.width, height: 1 } }),
        flip: i % 2 === 1,
        fit: i === 1 ? 'cover' : 'fill',
      }),
    );
    const bytes = requests.reduce((sum, { size }) => sum + size.width * size.height * 3, 0);
    const [found, expected] = [new Uint8Array(bytes), new Uint8Array(bytes)];
    await reduced.read(requests, found);
    await packed.read(requests, expected);
    expect(Buffer.from(found).equals(expected)).toBe(true);
    expect(new Set(expected).size).toBeGreaterThan(100);
  }
});

it('refuses what is not there and what lies outside', async () => {
  const images = new ReducedImages(paths, { size: 8 });
  const out = new Uint8Array(12);
  const size = { width: 2, height: 2 };
  await expect(images.read([{ index: 6, size }], out)).rejects.toThrow('there is no image 6, there are 6');
  const crop = { left: 7, top: 0, width: 4, height: 4 };
  await expect(images.read([{ index: 0, size, crop }], out)).rejects.toThrow(/lies outside of the image$/);
  await expect(images.read([{ index: 0, size }], new Uint8Array(11))).rejects.toThrow(RangeError);
});
