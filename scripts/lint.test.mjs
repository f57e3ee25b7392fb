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

const CONQUER = 'packages/conquer/src';

test('a cycle fails, of types too', () => {
  const value = "import { b } from './b.js';\n\nexport const a = (): unknown => b;\n";
  const type = "import type { a } from './a.js';\n\nexport const b = (): typeof a | null => null;\n";
  const broken = lint({ [`${CONQUER}/models/a.ts`]: value, [`${CONQUER}/models/b.ts`]: type });
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
