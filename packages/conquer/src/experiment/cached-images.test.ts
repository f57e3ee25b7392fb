import { join } from 'node:path';
import { oddSizes, writeNoise } from '@conquer-dml/testing/noise';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { imageData } from '../data/image-data.js';
import type { InputFormat } from '../models/input-format.js';
import { preprocessingFor } from '../models/preprocessing.js';

const folder = temporaryFolder();
let paths: string[];

beforeAll(async () => {
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
  const drawn = await Promise.all(
    oddSizes.flatMap(([width, height], i) =>
      ['jpg', 'png'].map(async (format) => {
        const path = join(folder, `${i}.${format}`);
        await writeNoise(path, width, height, i);
        return path;
      }),
    ),
  );
  // Reduced while it is decoded; and on its side.
  const [large, turned] = [join(folder, 'large.jpg'), join(folder, 'turned.jpg')];
  await writeNoise(large, 1300, 900, 5);
  await sharp(join(folder, '4.png')).withMetadata({ orientation: 6 }).toFile(turned);
  paths = [...drawn, large, turned];
});
afterAll(() => {
  vi.unstubAllEnvs();
});

const numbers = { size: 24, mean: [0.5, 0.5, 0.5], std: [0.1, 0.2, 0.3] } satisfies InputFormat;
const inputs: Record<string, InputFormat> = {
  bicubic: { ...numbers, interpolation: 'bicubic', centre: 'even' },
  'bicubic, squashed': { ...numbers, interpolation: 'bicubic', squash: true },
  'bilinear, the whole resized': { ...numbers, interpolation: 'bilinear', centre: 'down' },
};

it.each(Object.entries(inputs))(
  'of a cache of decoded images a network sees what it sees of the files: %s',
  async (_, input) => {
    const seen = async (cached: boolean) => {
      const view = preprocessingFor(input, { resize: 28, reduced: cached ? 'short side' : null });
      const test = { name: 'test', paths, labels: new Int32Array(paths.length) };
      const data = await imageData({ name: input.squash ? 'a' : 'b', train: test, test }, { view, cached });
      for await (const { images } of data.plain('test')) return images.toNumbers();
      throw new Error('no batch');
    };
    const [files, cache] = [await seen(false), await seen(true)];
    expect(new Set(files).size).toBeGreaterThan(500);
    expect(cache).toEqual(files);
  },
);
