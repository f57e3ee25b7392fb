import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it, vi } from 'vitest';

it('is loaded by the first use, not by the import', async () => {
  const dlopen = vi.spyOn(process, 'dlopen');
  const { liveTensors, torchVersion } = await import('./index.js');
  const loaded = () => dlopen.mock.calls.map(([, file]) => file).filter((file) => /torch/.test(file));
  expect(loaded()).toEqual([]);
  expect(torchVersion()).toMatch(/^\d+\.\d+/);
  expect(liveTensors()).toBe(0);
  expect(loaded()).toEqual([expect.stringMatching(/conquer_torch\.node$/)]);
});

it('that is not built can be imported, and says how to build it at each use', async () => {
  vi.stubEnv('LIBTORCH', ''); // the tests may run on one that it names
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'src'));
  const copy = join(folder, 'src/binding.ts');
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  copyFileSync(here('./binding.ts'), copy);
  copyFileSync(here('../package.json'), join(folder, 'package.json'));
  symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
  const { native } = (await import(copy)) as typeof import('./binding.js');
  const message = 'the native binding of @conquer-dml/torch is not built yet: npm run setup';
  expect(() => native.version()).toThrow(message);
  expect(() => native.liveTensors()).toThrow(message);
});
