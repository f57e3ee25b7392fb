import { join } from 'node:path';
import { imageBoxPath } from '@conquer-dml/image';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { expect, it, vi } from 'vitest';
import { openDataset } from '../datasets/open.js';
import { loadDashboard, rowReader } from './dashboard-module.js';

const SHARDS = join(import.meta.dirname, '../testing/shards-as-written');

it.each([
  ['parquet', 'trees-{00000..00001}-of-00002.parquet'],
  ['webdataset', ''],
] as const)('thumbnails are of images in %s shards too, whole or a box of them', async (kind, name) => {
  vi.stubEnv('CONQUER_CACHE', temporaryFolder());
  const { thumbnail } = await loadDashboard();
  const { train } = await openDataset(kind, { folder: join(SHARDS, name) });
  const readRow = rowReader();
  const path = train.paths.at(-1)!;
  const picture = await thumbnail(path, 48, { readRow });
  expect((await sharp(picture!).metadata()).format).toBe('webp');
  const box = await thumbnail(imageBoxPath(path, { left: 1, top: 2, width: 4, height: 3 }), 48, { readRow });
  expect(await sharp(box!).metadata()).toMatchObject({ width: 4, height: 3 });
});
