import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
let work = '';
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'conquer-lint-'));
  cpSync(join(REPOSITORY, 'biome.jsonc'), join(work, 'biome.jsonc'));
});
afterEach(() => rmSync(work, { recursive: true }));

/** Lints a folder of these files under the repository's rules. @returns the rules broken, as "file: rule" */
function lint(files) {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text);
  }
  const biome = join(REPOSITORY, 'node_modules/.bin/biome');
  const args = [
    'lint',
    '--vcs-enabled=false',
    '--error-on-warnings',
    '--max-diagnostics=none',
    '--colors=off',
  ];
  const { status, stdout, stderr } = spawnSync(biome, args, { cwd: work, encoding: 'utf8' });
  const broken = [...`${stdout}${stderr}`.matchAll(/^(\S+?):\d+:\d+ lint\/\w+\/(\w+)/gm)];
  expect(status).toBe(broken.length > 0 ? 1 : 0);
  return broken.map(([, file, rule]) => `${file}: ${rule}`).sort();
}

/** Lints files of one import each, all at once. @returns those that broke the import directions */
function crossing(cases) {
  const files = cases.map(([folder, specifier], index) => [
    folder.endsWith('.ts') ? folder : `${folder}/file-${index}.ts`,
    `import { thing } from '${specifier}';\n\nexport const other = thing;\n`,
  ]);
  const broken = lint(Object.fromEntries(files));
  return cases.filter((_, index) => broken.includes(`${files[index][0]}: noRestrictedImports`));
}

const CONQUER = 'packages/conquer/src';

test('the import directions forbid what is against them', () => {
  const forbidden = [
    [`${CONQUER}/losses`, '../miners/b.js'],
    [`${CONQUER}/miners`, '../losses/b.js'],
    [`${CONQUER}/distances`, '../losses/b.js'],
    [`${CONQUER}/transforms`, '../datasets/b.js'],
    [`${CONQUER}/datasets`, '../samplers/b.js'],
    [`${CONQUER}/datasets`, '@conquer/torch'],
    [`${CONQUER}/evaluate`, '../train/b.js'],
    [`${CONQUER}/evaluate`, '@conquer/image'],
    [`${CONQUER}/train`, '../cli/main.js'],
    [`${CONQUER}/losses/nested`, '../../miners/b.js'],
    [`${CONQUER}/new-room`, '../losses/b.js'],
    ['packages/torch/src', 'conquer'],
    ['packages/torch/src/nn', '@conquer/image'],
    ['packages/image/src', '@conquer/torch'],
    ['packages/dashboard/src', '@conquer/torch'],
  ];
  expect(crossing(forbidden)).toEqual(forbidden);
});

test('the import directions allow what follows them', () => {
  const allowed = [
    [`${CONQUER}/losses`, '../distances/b.js'],
    [`${CONQUER}/losses`, '../error.js'],
    [`${CONQUER}/losses`, '@conquer/torch'],
    [`${CONQUER}/losses`, './b.js'],
    [`${CONQUER}/losses/nested`, '../../tuples.js'],
    [`${CONQUER}/losses/nested`, '../loss.js'],
    [`${CONQUER}/datasets`, '../transforms/b.js'],
    [`${CONQUER}/train`, '../losses/b.js'],
    [`${CONQUER}/cli`, '../train/loop.js'],
    [`${CONQUER}/losses/a.test.ts`, '../miners/b.js'],
  ];
  expect(crossing(allowed)).toEqual([]);
});

test('imports of types, re-exports and dynamic imports count too', () => {
  const file = `${CONQUER}/losses/a.ts`;
  const source = [
    "import type { Miner } from '../miners/miner.js';",
    "export { other } from '../miners/other.js';",
    'export const miner: Miner | undefined = undefined;',
    "export const load = (): Promise<unknown> => import('../miners/miner.js');",
  ];
  expect(lint({ [file]: `${source.join('\n')}\n` })).toEqual([
    `${file}: noBarrelFile`,
    ...Array(3).fill(`${file}: noRestrictedImports`),
  ]);
});

test('a cycle fails', () => {
  const file = (other) =>
    `import { ${other} } from './${other}.js';\n\nexport const f = (): unknown => ${other};\n`;
  const broken = lint({ [`${CONQUER}/models/a.ts`]: file('b'), [`${CONQUER}/models/b.ts`]: file('a') });
  expect(broken).toEqual([
    `${CONQUER}/models/a.ts: noImportCycles`,
    `${CONQUER}/models/b.ts: noImportCycles`,
  ]);
});

test('any, default exports, export * and printing in the library fail', () => {
  const file = `${CONQUER}/models/a.ts`;
  const source =
    "export * from './b.js';\nexport const x: any = 1;\nexport default x;\nconsole.log(x);\nprocess.exit(1);\n";
  expect(lint({ [file]: source })).toEqual(
    [
      'noBarrelFile',
      'noConsole',
      'noDefaultExport',
      'noExplicitAny',
      'noJsRestrictedProperties',
      'noReExportAll',
    ].map((rule) => `${file}: ${rule}`),
  );
});
