// The packages of this checkout, as they would be published.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { pack } from './pack.mjs';
import { checkTarballs } from './packing/check-tarballs.mjs';
import { platformFolder } from './packing/platform.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const root = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

let tarballs;
let checked;
beforeAll(async () => {
  tarballs = await pack();
  checked = await checkTarballs(tarballs, root);
}, 1_800_000);

test('nothing is wrong with them', () => {
  expect(checked.problems).toEqual([]);
});

test('they are all there, each after those that it needs', () => {
  const names = checked.packages.map(({ manifest }) => manifest.name);
  expect(names.filter((name) => !name.includes('-x64') && !name.includes('-arm64'))).toEqual([
    '@conquer-dml/run',
    '@conquer-dml/dashboard',
    '@conquer-dml/native',
    '@conquer-dml/image',
    '@conquer-dml/torch',
    'conquer-dml',
    '@conquer-dml/emoji',
  ]);
});

// Where no package is made for the platform, the two lines above are all that can be looked at.
describe.skipIf(platformFolder(ROOT) === undefined)('the package of this platform', () => {
  test('is optional for torch and image, and for nobody else', () => {
    const asking = checked.packages.filter(({ manifest }) => manifest.optionalDependencies);
    expect(asking.map(({ manifest }) => manifest.name).sort()).toEqual([
      '@conquer-dml/image',
      '@conquer-dml/torch',
    ]);
    for (const { manifest } of asking)
      expect(Object.values(manifest.optionalDependencies)).toEqual([manifest.version]);
  });

  test('holds both bindings and their libraries', () => {
    const { files } = checked.packages.find(({ manifest }) => manifest.os);
    expect(files.filter((file) => /\.node$|^lib\//.test(file)).sort()).toEqual([
      'conquer_image.node',
      'conquer_torch.node',
      'lib/libc10.so',
      'lib/libgomp.so.1',
      'lib/libjpeg.so.62',
      'lib/libtorch_cpu.so',
    ]);
  });
});
