import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { killWriter, writeCounted } from '../testing/killed-writer.js';
import { ImageIndex } from './image-index.js';

const KILLS = Number(process.env.CONQUER_KILLS ?? 30);

it(`an index is whole after each of ${KILLS} kills in its writes`, { timeout: KILLS * 20_000 }, async () => {
  const path = join(temporaryFolder(), 'i.index');
  writeCounted(path);
  const random = new Random(1);
  for (let kill = 0; kill < KILLS; kill++) await killWriter(path, random);
  // What killed writers left goes at the next write.
  using index = ImageIndex.open(path);
  // But what was written on the way to the lock, a minute later.
  for (const name of readdirSync(path))
    if (name.startsWith('writing.json.')) utimesSync(join(path, name), 0, 0);
  index.save(path, { compact: true });
  expect(readdirSync(path).map((name) => name.replace(/^[0-9a-f]{16}/, ''))).toEqual([
    '.items',
    '.rows',
    '.table',
    'manifest.json',
  ]);
});

it(`with graphs that come and go it is whole too, after ${KILLS >> 1} kills`, {
  timeout: KILLS * 20_000,
}, async () => {
  const path = join(temporaryFolder(), 'i.index');
  writeCounted(path);
  const random = new Random(2);
  let withGraph = 0;
  for (let kill = 0; kill < KILLS >> 1; kill++)
    withGraph += Number((await killWriter(path, random, { graphs: true })) % 2 === 0);
  expect(withGraph).toBeGreaterThan(0);
  expect(withGraph).toBeLessThan(KILLS >> 1);
  using index = ImageIndex.open(path);
  index.buildGraph();
  index.save(path);
  const graphs = readdirSync(path).filter((name) => name.endsWith('.graph'));
  expect(graphs).toHaveLength(1);
});
