import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, test } from 'vitest';
import { highestVersions, NEWEST } from './check-platform.mjs';
import { checkTarballs } from './check-tarballs.mjs';
import { isOlder } from './elf.mjs';

const GOOD = {
  description: 'for a test',
  license: 'MIT',
  type: 'module',
  repository: 'github:conquer-dml/conquer',
  engines: { node: '>=20.19' },
};

/** A tarball of a package with this name, these fields and files. */
function tarball(name, manifest = {}, files = {}) {
  const folder = temporaryFolder();
  const all = {
    'package.json': JSON.stringify({ name, version: '1.0.0', ...GOOD, ...manifest }),
    'README.md': '',
    LICENSE: '',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(join(folder, 'package', path, '..'), { recursive: true });
    writeFileSync(join(folder, 'package', path), text);
  }
  const file = join(folder, `${name.replaceAll(/\W+/g, '-')}.tgz`);
  execFileSync('tar', ['-czf', file, '-C', folder, 'package']);
  return file;
}

const problemsOf = async (...tarballs) => (await checkTarballs(tarballs, { version: '1.0.0' })).problems;
const run = (files, manifest) => tarball('@conquer-dml/run', manifest, files);

test('a package as it should be passes, in the order to publish them in', async () => {
  const dashboard = tarball('@conquer-dml/dashboard', { dependencies: { '@conquer-dml/run': '1.0.0' } });
  const { problems, packages } = await checkTarballs(
    [dashboard, run({ 'dist/index.js': 'export const a = 1;\n' })],
    {
      version: '1.0.0',
    },
  );
  expect(problems).toEqual([]);
  expect(packages.map(({ manifest }) => manifest.name)).toEqual([
    '@conquer-dml/run',
    '@conquer-dml/dashboard',
  ]);
});

test('what is for tests, what does not belong there and maps without sources are named', async () => {
  const problems = await problemsOf(
    run({
      'dist/golden/losses.js': 'export {};\n',
      'dist/a.test.js': 'export {};\n',
      'dist/.tsbuildinfo': '{}',
      'src/index.ts': 'export {};\n',
      'dist/index.js': 'export {};\n//# sourceMappingURL=index.js.map\n',
    }),
  );
  const own = problems.filter((problem) => !problem.includes('publint: '));
  expect(own.sort()).toEqual([
    '@conquer-dml/run dist/index.js names the source map index.js.map, whose sources are not in it',
    '@conquer-dml/run holds dist/.tsbuildinfo, which is for tests',
    '@conquer-dml/run holds dist/a.test.js, which is for tests',
    '@conquer-dml/run holds dist/golden/losses.js, which is for tests',
    '@conquer-dml/run holds src/index.ts, which it should not',
  ]);
});

test('versions, scripts at installation and packages that are not there are named', async () => {
  expect(
    await problemsOf(
      run({}, { version: '1.0.1', scripts: { postinstall: 'node build.js' } }),
      tarball('@conquer-dml/dashboard', {
        dependencies: { '@conquer-dml/run': '1.0.0', '@conquer-dml/testing': '1.0.0' },
      }),
    ),
  ).toEqual([
    '@conquer-dml/run has version 1.0.1, and the checkout 1.0.0',
    '@conquer-dml/run runs a script at installation (postinstall)',
    '@conquer-dml/dashboard asks for @conquer-dml/run 1.0.0, which is 1.0.1',
    '@conquer-dml/dashboard depends on @conquer-dml/testing, which is not packed',
  ]);
});

test('packages in a circle are named', async () => {
  const needing = (name, other) => tarball(name, { dependencies: { [other]: '1.0.0' } });
  expect(
    await problemsOf(
      needing('@conquer-dml/run', '@conquer-dml/dashboard'),
      needing('@conquer-dml/dashboard', '@conquer-dml/run'),
    ),
  ).toEqual(['packages depend on each other: @conquer-dml/run → @conquer-dml/dashboard → @conquer-dml/run']);
});

test('a platform that asks for more than its README says, or brings what it does not name, is told', async () => {
  const notice = 'lib/libc10.so, licenses/gpl.txt';
  const file = tarball('@conquer-dml/linux-x64', { os: ['linux'] }, { NOTICE: notice });
  const folder = temporaryFolder();
  execFileSync('tar', ['-xzf', file, '-C', folder]);
  mkdirSync(join(folder, 'package/lib'));
  // A program of the system stands in for libraries.
  for (const name of ['libc10.so', 'libstdc++.so.6']) cpSync('/bin/true', join(folder, 'package/lib', name));
  execFileSync('tar', ['-czf', file, '-C', folder, 'package']);
  const problems = await problemsOf(file);
  expect(problems).toContain('@conquer-dml/linux-x64 holds lib/libstdc++.so.6');
  expect(problems).toContain('@conquer-dml/linux-x64 has no lib/libtorch_cpu.so');
  expect(problems).toContain('@conquer-dml/linux-x64 NOTICE does not name lib/libstdc++.so.6');
  expect(problems).toContain('@conquer-dml/linux-x64 NOTICE names licenses/gpl.txt, which is not in it');
  const { GLIBC } = highestVersions(['/bin/true']);
  const tooNew = `@conquer-dml/linux-x64 asks for GLIBC_${GLIBC}, expected ${NEWEST.GLIBC} at most`;
  expect(problems.includes(tooNew)).toBe(isOlder(NEWEST.GLIBC, GLIBC));
});
