import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { placesOfDuplicates, readNearDuplicates } from './near-duplicates.js';

const line = (first: string, second: string) =>
  `${JSON.stringify({ first: { id: 'x', image: 0, path: first }, second: { id: 'y', image: 0, path: second }, similarity: 0.97 })}\n`;

it('reads pairs both ways, and finds their places in a gallery', async () => {
  const file = join(temporaryFolder(), 'pairs.jsonl');
  writeFileSync(file, `${line('/p/a.jpg', '/p/b.jpg')}\n${line('/p/a.jpg', '/p/x/../c.jpg')}`);
  const pairs = await readNearDuplicates(file);
  const gallery = ['/p/c.jpg', '/p/a.jpg', '/p/d.jpg', '/p/b.jpg'];
  expect(placesOfDuplicates(pairs, ['/p/a.jpg', '/p/d.jpg', '/p/c.jpg'], gallery)).toEqual(
    new Map([
      [0, [3, 0]],
      [2, [1]],
    ]),
  );
});

it.each([
  ['{"first":{"path":"a"}}', /line 1: expected a pair of images with their paths, .*, got "\{\\"first/],
  ['0.97  a.jpg  b.jpg', /line 1: expected a pair/],
  ['null', /line 1: expected a pair/],
])('refuses %s in a line', async (text, message) => {
  const file = join(temporaryFolder(), 'pairs.jsonl');
  writeFileSync(file, text);
  await expect(readNearDuplicates(file)).rejects.toThrow(message);
});

it('says what cannot be read', async () => {
  await expect(readNearDuplicates('/nowhere/pairs')).rejects.toThrow(
    /expected lines of JSON of conquer duplicates/,
  );
});
