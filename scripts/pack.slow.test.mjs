// The packages of this checkout, as they would be published.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, test } from 'vitest';
import { SetupError } from '../packages/native/builder/setup-error.mjs';
import { pack } from './pack.mjs';
import { checkTarballs } from './packing/check-tarballs.mjs';

const root = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

let checked;
let platform;
/** Why there is no package of this platform. */
let missing = `no package is made for ${process.platform}-${process.arch}`;
beforeAll(async () => {
  const into = join(temporaryFolder(), 'tarballs');
  const tarballs = await pack({ into }).catch((error) => {
    if (!(error instanceof SetupError)) throw error;
    missing = error.message;
    return pack({ into, platform: false });
  });
  checked = await checkTarballs(tarballs, root);
  platform = checked.packages.find(({ manifest }) => manifest.os);
  if (platform === undefined) console.log(`SKIPPED: the package of this platform: ${missing}`);
}, 1_800_000);

test('nothing is wrong with them', () => {
  expect(checked.problems).toEqual([]);
});

test('they are all there, each after those that it needs', () => {
  const names = checked.packages.filter((one) => one !== platform).map(({ manifest }) => manifest.name);
  expect(names.toSorted()).toEqual([
    '@conquer-dml/browser',
    '@conquer-dml/dashboard',
    '@conquer-dml/emoji',
    '@conquer-dml/image',
    '@conquer-dml/native',
    '@conquer-dml/run',
    '@conquer-dml/torch',
    '@conquer-dml/weights',
    'conquer-dml',
  ]);
  for (const [at, { manifest }] of checked.packages.entries()) {
    const before = new Set(checked.packages.slice(0, at).map((one) => one.manifest.name));
    const needs = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
    expect(needs.filter((name) => names.includes(name) && !before.has(name))).toEqual([]);
  }
});

test("this platform's is optional for torch and image, and asked for by nobody else", ({ skip }) => {
  if (platform === undefined) skip(missing);
  const asking = checked.packages.filter(({ manifest }) => manifest.optionalDependencies);
  expect(asking.map(({ manifest }) => manifest.name).sort()).toEqual([
    '@conquer-dml/image',
    '@conquer-dml/torch',
  ]);
  for (const { manifest } of asking)
    expect(manifest.optionalDependencies).toEqual({ [platform.manifest.name]: manifest.version });
});

test("this platform's holds both bindings and their libraries", ({ skip }) => {
  if (platform === undefined) skip(missing);
  const binaries = platform.files.filter((file) => /\.node$|^lib\//.test(file));
  expect(binaries.sort()).toEqual([
    'conquer_image.node',
    'conquer_torch.node',
    'lib/libc10.so',
    'lib/libgomp.so.1',
    'lib/libjpeg.so.62',
    'lib/libtorch_cpu.so',
  ]);
});
