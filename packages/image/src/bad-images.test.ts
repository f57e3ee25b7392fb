import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { decodeImages, ImageError, ImageFiles, imageSizes, packImages, ReducedImages } from './index.js';

let folder: string;
/** Good, empty, good (a PNG), cut short, good, gone. */
let paths: string[];
const bad = [1, 3, 5];
const size = { width: 6, height: 6 };
const bytes = 6 * 6 * 3;

beforeAll(async () => {
  folder = temporaryFolder();
  const photo = (red: number) =>
    sharp({ create: { width: 20, height: 16, channels: 3, background: { r: red, g: 0, b: 0 } } });
  const jpeg = await photo(30).jpeg().toBuffer();
  const noise = Uint8Array.from({ length: 99 * 80 * 3 }, (_, at) => (at * 7919) % 251);
  const noisy = await sharp(noise, { raw: { width: 99, height: 80, channels: 3 } })
    .jpeg()
    .toBuffer();
  const files = [
    await photo(200).jpeg().toBuffer(),
    Buffer.alloc(0),
    await photo(90).png().toBuffer(),
    noisy.subarray(0, noisy.length - 300),
    jpeg,
  ];
  paths = files.map((contents, i) => {
    const path = join(folder, `${i}.jpg`);
    writeFileSync(path, contents);
    return path;
  });
  paths.push(join(folder, 'gone.jpg'));
});

const pack = (told: (at: number) => void) =>
  packImages(paths, { size: 8, file: join(folder, 'some.pack'), onBad: (_, place) => told(place) });

it('are told of in their order, and the others are read', async () => {
  const told: number[] = [];
  const onBad = (error: ImageError, place: number) => {
    expect([error.path, error instanceof ImageError]).toEqual([paths[place], true]);
    told.push(place);
  };
  expect((await imageSizes(paths, { onBad })).map(({ width }) => width)).toEqual([20, 0, 20, 99, 20, 0]);
  expect(told.splice(0)).toEqual([1, 5]);

  const pixels = new Uint8Array(paths.length * bytes);
  const requests = paths.map((image) => ({ image, size }));
  await decodeImages(requests, pixels, { onBad });
  expect(told.splice(0)).toEqual(bad);
  const reds = [0, 2, 4].map((place) => pixels[place * bytes]!);
  for (const [i, red] of [200, 90, 30].entries()) expect(Math.abs(reds[i]! - red)).toBeLessThan(3);
  await expect(decodeImages(requests, pixels)).rejects.toThrow(ImageError);
});

it('are told of by files, reduced files and a pack alike', async () => {
  const inPack: number[] = [];
  using packed = await pack((place) => inPack.push(place));
  expect(inPack).toEqual(bad);
  const sound = paths.length - bad.length;
  for (const images of [new ImageFiles(paths), new ReducedImages(paths, { size: 8 }), packed]) {
    const pixels = new Uint8Array(2 * paths.length * bytes).fill(1);
    const twice = [...paths.keys(), ...paths.keys()];
    const found = new Set<number>();
    const onBad = (_: ImageError, place: number) => found.add(place);
    const sizes = await images.sizes(twice, { onBad });
    expect([...found].every((place) => bad.includes(place % 6) && sizes[place]?.width === 0)).toBe(true);
    await images.read(
      twice.map((index) => ({ index, size })),
      pixels,
      { onBad },
    );
    expect([...found].sort((a, b) => a - b)).toEqual([...bad, ...bad.map((place) => place + 6)]);
    const reds = new Set([0, 2, 4, 6, 8, 10].map((place) => pixels[place * bytes]!));
    expect(reds.size).toBe(sound);
    await expect(images.read([{ index: 3, size }], new Uint8Array(bytes))).rejects.toThrow(ImageError);
  }
});

it('make a pack anew when they have been mended, and are an error of it for whoever wants none', async () => {
  const told: number[] = [];
  (await pack((place) => told.push(place))).dispose();
  expect(told.splice(0)).toEqual(bad);
  await expect(packImages(paths, { size: 8, file: join(folder, 'some.pack') })).rejects.toThrow(ImageError);
  writeFileSync(join(folder, 'gone.jpg'), await sharp(paths[2]!).png().toBuffer());
  using mended = await pack((place) => told.push(place));
  expect([told, mended.unread]).toEqual([
    [1, 3],
    [1, 3],
  ]);
  const pixels = new Uint8Array(bytes);
  await mended.read([{ index: 5, size }], pixels);
  expect(pixels[0]).toBe(90);
  rmSync(join(folder, 'gone.jpg'));
});

it('tells of a name that is not UTF-8', async () => {
  const path = join(folder, 'caf\uFFFD.jpg');
  await expect(imageSizes([path])).rejects.toThrow(/no such file \(a name that is not UTF-8 cannot be given/);
});
