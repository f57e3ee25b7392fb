import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { experimentLibrary, fromSource } from './experiment-library.mjs';
import { house, REASONS, tableOf, withTable } from './house.mjs';

test('what a change costs: the table in docs/architecture.md is that of the sources', async () => {
  const counted = house(await experimentLibrary(fromSource));
  const document = readFileSync(new URL('../docs/architecture.md', import.meta.url), 'utf8');
  expect(document, 'npm run house -- --write').toBe(withTable(document, tableOf(counted)));
  for (const { kind, must } of [...counted.rows, { kind: 'field', ...counted.field }])
    expect(must, `files besides its own and its list to add a ${kind}`).toEqual([]);
  expect(counted.twice).toEqual([]);
  expect(counted.long.map(({ file }) => file).sort(), 'files over 400 lines, and REASONS').toEqual(
    Object.keys(REASONS).sort(),
  );
}, 120_000);

/** The only ones: what a network that comes along has learnt. */
const LARGE = ['packages/weights/tf_efficientnet_lite0.in1k.safetensors'];

test('no file over 1 MB is committed, but those that are named', ({ skip }) => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const { status, stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) skip('this is no checkout of git');
  const size = (file) => statSync(join(root, file), { throwIfNoEntry: false })?.size ?? 0;
  const files = stdout.split('\0').filter((file) => file !== '');
  expect(files.length).toBeGreaterThan(500);
  expect(files.filter((file) => size(file) > 1e6)).toEqual(LARGE);
});
