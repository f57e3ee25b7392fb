import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './sides.mjs';

function run(script, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

it('prints what a script begins with', () => {
  const { status, stdout } = run('bench/scale.mjs', '--help');
  expect(status).toBe(0);
  expect(stdout).toMatch(
    /^What the exchange costs.*\n.*\n {2}node bench\/scale\.mjs \[ARCH BATCH PIXELS\]\n/,
  );
});

it.each([
  ['bench/run.mjs', ['--rwo', 'x'], "Unknown option '--rwo'; the options are --help, --row, --json"],
  ['bench/run.mjs', ['nothing-like-it'], 'no row nothing-like-it; the rows are step-resnet50, '],
  ['bench/run.mjs', ['--json'], "Option '--json <value>' argument missing; "],
  ['bench/division.mjs', ['--rows', 'many'], "--rows: expected a number above 0, got 'many'"],
  ['bench/division.mjs', ['1000'], 'expected options alone, got 1000'],
  ['bench/step-memory.mjs', ['a', '8', '64', 'b'], 'expected [ARCH] [BATCH] [PIXELS], got a 8 64 b'],
  [
    'bench/scale.mjs',
    ['resnet18', '8', '64', '--processes', '4'],
    'expected a batch with an even number of images for each of 4 processes, at least 16 in all, got 8',
  ],
  ['bench/audit.mjs', ['no/photos'], "PHOTOS: expected a folder that is there, got 'no/photos'"],
  ['bench/fit-memory.mjs', ['README.md'], "[FOLDER]: expected a folder that is there, got 'README.md'"],
  [
    'bench/fit-photos.mjs',
    ['ours=bench', 'mine=no/photos'],
    "NAME=FOLDER: expected a folder that is there, got 'no/photos'",
  ],
  ['bench/map.mjs', ['--data', 'no.npy'], "--data: expected a file that is there, got 'no.npy'"],
  ['board/run.mjs', ['--cells', '('], "--cells: expected a regular expression, got '('"],
])('%s %j is told in a line', (script, args, why) => {
  const { status, stdout, stderr } = run(script, ...args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^[^\n]+ \(--help says more\)\n$/);
  expect(stderr.startsWith(`${script}: ${why}`)).toBe(true);
});

it('is the command line of every script that a person starts', () => {
  const files = ['bench', 'board'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true })
      .filter((name) => /^[^.]+\.mjs$/.test(name))
      .map((name) => ({ name, text: readFileSync(join(ROOT, folder, name), 'utf8') })),
  );
  const isImported = (name) => files.some(({ text }) => text.includes(`/${name}';`));
  // Those in folders are started by these.
  const started = files.filter(({ name }) => !name.includes('/') && !isImported(name));
  expect(started.length).toBeGreaterThan(20);
  expect(started.filter(({ text }) => !text.includes('commandLine(')).map(({ name }) => name)).toEqual([]);
});
