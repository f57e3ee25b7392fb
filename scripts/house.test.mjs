import { readFileSync } from 'node:fs';
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
