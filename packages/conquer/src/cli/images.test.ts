import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@conquer/run';
import type { Tensor } from '@conquer/torch';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Dataset } from '../datasets/dataset.js';
import { openDataset } from '../datasets/open.js';
import type { InputFormat } from '../models/backbone.js';
import { Random } from '../random.js';
import { openImages } from './images.js';
import { resolveSettings } from './options.js';

let folder: string;
let cache: string;
let dataset: Dataset;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-images-'));
  cache = mkdtempSync(join(tmpdir(), 'conquer-cache-'));
  vi.stubEnv('CONQUER_CACHE', cache);
  for (let label = 0; label < 4; label++) {
    mkdirSync(join(folder, `class-${label}`));
    for (let image = 0; image < 4; image++) {
      // Flat colour: a cut or a flip changes nothing, so that what changes is the family's doing.
      const fill = `<rect width="40" height="40" fill="hsl(${label * 80 + image * 10},60%,50%)"/>`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">${fill}</svg>`;
      writeFileSync(join(folder, `class-${label}`, `${image}.svg`), svg);
    }
  }
  dataset = await openDataset('folder', { folder });
});
afterAll(() => {
  vi.unstubAllEnvs();
  for (const made of [folder, cache]) rmSync(made, { recursive: true });
});

const input: InputFormat = { size: 32, mean: [0, 0, 0], std: [1, 1, 1] };

async function views(augmentation: string, packed = 'no') {
  const settings = resolveSettings({ augmentation, cache: packed, 'image-size': 32, resize: 40 });
  const data = await openImages(settings, dataset, input, process.stderr);
  const first = async (batches: AsyncIterable<{ images: Tensor }>) => {
    for await (const { images } of batches) return JSON.stringify(images.tolist());
    throw new Error('no batch');
  };
  const all = [Int32Array.from(dataset.train.labels.keys())];
  return {
    augmented: await first(data.augmented(all, new Random(3), 0)),
    train: await first(data.plain('train')),
    test: await first(data.plain('test')),
  };
}

describe('--augmentation', () => {
  it('is of training images only, and each family another', async () => {
    const plain = await views('none');
    expect(plain.augmented).toBe(plain.train);
    const standard = await views('standard');
    const seen = new Set<string>();
    for (const name of ['geom', 'geom-color', 'color-heavy']) {
      const { augmented, train, test } = await views(name);
      expect(train).toBe(plain.train);
      expect(test).toBe(plain.test);
      expect(augmented).not.toBe(standard.augmented);
      seen.add(augmented);
    }
    expect(seen.size).toBe(3);
  });

  it('cuts out of a cache of decoded images what it cuts out of the files', async () => {
    // Smaller images than --resize are kept as they are.
    for (const augmentation of ['standard', 'geom']) {
      expect(await views(augmentation, 'yes')).toEqual(await views(augmentation, 'no'));
    }
  });
});

it('says in a line that decoded images cannot be kept, and where else they could be', async () => {
  // A file where the folder is to be, as no test can fill a disk.
  writeFileSync(join(cache, 'packs-taken'), '');
  vi.stubEnv('CONQUER_CACHE', join(cache, 'packs-taken'));
  const settings = resolveSettings({ cache: 'yes', 'image-size': 32, resize: 40 });
  const opened = openImages(settings, dataset, input, process.stderr);
  await expect(opened).rejects.toThrow(UserError);
  await expect(openImages(settings, dataset, input, process.stderr)).rejects.toThrow(
    /^decoded images cannot be kept in .*\.pack \(ENOTDIR.*\): make room there, .*CONQUER_CACHE/,
  );
  vi.stubEnv('CONQUER_CACHE', cache);
});
