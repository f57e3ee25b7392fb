import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageFiles } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeEach, expect, it } from 'vitest';
import { Random } from '../random.js';
import { BadImages } from './bad-images.js';
import { CenterCrop } from './center-crop.js';
import { Compose } from './compose.js';
import { CropSource } from './crop-source.js';
import { Loader } from './loader.js';
import { Substitutes } from './substitutes.js';

// Four classes of four images; image i is all of red 10 i.
const labels = Int32Array.from({ length: 16 }, (_, image) => image >> 2);
let folder: string;
let paths: string[];
let told: string[];

beforeEach(async () => {
  folder = temporaryFolder();
  paths = Array.from({ length: 16 }, (_, image) => join(folder, `${image}.png`));
  told = [];
  for (const [image, path] of paths.entries())
    await sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 10 * image, g: 0, b: 0 } } })
      .png()
      .toFile(path);
});

const breakImages = (...images: number[]) => {
  for (const image of images) writeFileSync(paths[image]!, 'broken');
};
const none = (total = 400) => new BadImages(total, (message) => told.push(message));

/** What the batches of an epoch hold: the positions, and the images by their pixels. */
async function epoch(batches: number[][], bad: BadImages, onBatch = (_: number) => {}, prefetch = 2) {
  const source = new CropSource({ images: new ImageFiles(paths), cropping: new CenterCrop({ size: 8 }) });
  const loader = new Loader({
    source,
    labels,
    batches: batches.map((batch) => Int32Array.from(batch)),
    transform: new Compose([]),
    random: new Random(3),
    substitutes: new Substitutes(paths, labels, bad),
    prefetch,
  });
  const read: { indices: number[]; labels: number[]; images: number[] }[] = [];
  for await (const batch of loader) {
    const images = batch.images.select(1, 0).select(1, 0).select(1, 0);
    const reds = [...images.toNumbers()].map((red) => Math.round((red * 255) / 10));
    read.push({ indices: [...batch.indices], labels: [...batch.labels], images: reds });
    batch.images.dispose();
    onBatch(read.length);
  }
  return read;
}

it('put another image of the class in the place of a bad one, and tell of it once', async () => {
  breakImages(1);
  const batches = Array.from({ length: 12 }, () => [0, 1, 4, 5]);
  const read = await epoch(batches, none());
  const others = new Set(read.map(({ indices }) => indices[1]));
  expect([...others].sort()).toEqual([2, 3]);
  for (const { indices, labels: classes, images } of read) {
    expect(images).toEqual(indices);
    expect([indices[0], indices[2], indices[3]]).toEqual([0, 4, 5]);
    expect(classes).toEqual([0, 0, 1, 1]);
  }
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/^bad image 1 of at most 20: cannot read the image .*\/1\.png: [^\n]+$/);
});

it('repeat the only good image of a class, and take any where there is none', async () => {
  breakImages(1, 2, 3);
  expect((await epoch([[0, 1, 4, 5]], none()))[0]).toMatchObject({
    indices: [0, 0, 4, 5],
    labels: [0, 0, 1, 1],
  });
  breakImages(0);
  const [batch] = await epoch([[0, 1, 4, 5]], none());
  expect(batch!.images).toEqual(batch!.indices);
  expect(batch!.labels).toEqual(batch!.indices.map((at) => labels[at]));
  expect(batch!.indices.every((at) => at > 3)).toBe(true);
});

it('draw the same whether a bad image was known from the start or found on the way', async () => {
  breakImages(1, 6, 13);
  const batches = Array.from({ length: 9 }, (_, i) => [0, 1, 2, 4, 5, 6, 12, 13].map((at) => (at + i) % 16));
  const found = none();
  const first = await epoch(batches, found, undefined, 3);
  expect([...told].sort()).toHaveLength(3);
  expect(await epoch(batches, found)).toEqual(first);
  // Batches without a bad image are as if there were none anywhere.
  const good = [
    [0, 2],
    [4, 5],
  ];
  expect(await epoch(good, none())).toEqual(await epoch(good, found));
});

it('stand in for an image that breaks between two batches, and end the run over 5 %', async () => {
  const batches = Array.from({ length: 20 }, () => [8, 9]);
  const read = await epoch(batches, none(), (done) => done === 5 && breakImages(9), 1);
  expect(read[4]!.indices).toEqual([8, 9]);
  expect(read.at(-1)!.indices[0]).toBe(8);
  expect([10, 11]).toContain(read.at(-1)!.indices[1]);
  expect(told).toHaveLength(1);
  const few = none(16);
  await expect(epoch(batches, few)).rejects.toThrow(UserError);
  await expect(epoch(batches, none(16))).rejects.toThrow(
    /^more than 5 % of the 16 images are bad, the last one: /,
  );
});
