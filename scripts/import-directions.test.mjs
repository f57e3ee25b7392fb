import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { crossing, crossings, PACKAGES } from './import-directions.mjs';

const CONQUER = 'packages/conquer/src';

test.each([
  [`${CONQUER}/losses/a.ts`, '../miners/b.js'],
  [`${CONQUER}/miners/a.ts`, '../losses/b.js'],
  [`${CONQUER}/neighbours/a.ts`, '../losses/b.js'],
  [`${CONQUER}/data/a.ts`, '../datasets/b.js'],
  [`${CONQUER}/datasets/a.ts`, '../samplers/b.js'],
  [`${CONQUER}/datasets/a.ts`, '@conquer-dml/torch'],
  [`${CONQUER}/evaluate/a.ts`, '../train/b.js'],
  [`${CONQUER}/evaluate/a.ts`, '@conquer-dml/image'],
  [`${CONQUER}/train/a.ts`, '../cli/main.js'],
  [`${CONQUER}/losses/nested/a.ts`, '../../miners/b.js'],
  [`${CONQUER}/new-room/a.ts`, '../losses/b.js'],
  [`${CONQUER}/random.ts`, './losses/b.js'],
  [`${CONQUER}/losses/a.ts`, '../../../run/src/error.js'],
  ['packages/torch/src/a.ts', 'conquer-dml'],
  ['packages/torch/src/nn/a.ts', '@conquer-dml/image'],
  ['packages/image/src/a.ts', '@conquer-dml/torch'],
  ['packages/run/src/a.ts', '@conquer-dml/image'],
  ['packages/dashboard/src/a.ts', '@conquer-dml/torch'],
  ['packages/dashboard/page/src/a.svelte', 'conquer-dml/run-folder'],
])('%s must not import %s', (file, specifier) => {
  expect(crossing(file, specifier)).toMatch(`${file}: ${specifier}`);
});

test.each([
  [`${CONQUER}/losses/a.ts`, '../neighbours/b.js'],
  [`${CONQUER}/losses/a.ts`, '../tuples.js'],
  [`${CONQUER}/losses/a.ts`, '@conquer-dml/torch'],
  [`${CONQUER}/losses/a.ts`, './b.js'],
  [`${CONQUER}/losses/nested/a.ts`, '../../tuples.js'],
  [`${CONQUER}/losses/nested/a.ts`, '../loss.js'],
  [`${CONQUER}/datasets/a.ts`, '../data/b.js'],
  [`${CONQUER}/train/a.ts`, '../losses/b.js'],
  [`${CONQUER}/cli/a.ts`, '../train/loop.js'],
  [`${CONQUER}/losses/a.test.ts`, '../miners/b.js'],
  [`${CONQUER}/index.ts`, './losses/b.js'],
  ['packages/dashboard/page/src/a.svelte', '@conquer-dml/run'],
  ['packages/dashboard/page/src/a.svelte', '../../src/api.js'],
])('%s may import %s', (file, specifier) => {
  expect(crossing(file, specifier)).toBeNull();
});

test('imports of types, re-exports and dynamic imports count, and dependencies', () => {
  const work = mkdtempSync(join(tmpdir(), 'conquer-directions-'));
  try {
    const repository = fileURLToPath(new URL('..', import.meta.url));
    for (const name of Object.keys(PACKAGES)) {
      for (const folder of ['src', 'page/src'])
        mkdirSync(join(work, 'packages', name, folder), { recursive: true });
      cpSync(
        join(repository, 'packages', name, 'package.json'),
        join(work, 'packages', name, 'package.json'),
      );
    }
    expect(crossings(work)).toEqual([]);
    mkdirSync(join(work, CONQUER, 'losses'));
    const source = [
      'import type {',
      '  Miner,',
      "} from '../miners/1.js';",
      "export { other } from '../miners/2.js';",
      "export const load = (): Promise<unknown> => import('../miners/3.js');",
      "export type Other = import('../miners/4.js').Other;",
      "import '../miners/5.js';",
    ];
    writeFileSync(join(work, CONQUER, 'losses/a.ts'), source.join('\n'));
    writeFileSync(
      join(work, 'packages/run/package.json'),
      '{"dependencies":{"conquer-dml":"0.1.0","sharp":"1"}}',
    );
    expect(crossings(work).map((line) => line.split(': ').slice(0, 2).join(': '))).toEqual([
      'packages/run/package.json: conquer-dml',
      ...[1, 2, 3, 4, 5].map((i) => `${CONQUER}/losses/a.ts: ../miners/${i}.js`),
    ]);
  } finally {
    rmSync(work, { recursive: true });
  }
});
