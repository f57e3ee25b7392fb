import { copyFileSync, mkdirSync } from 'node:fs';
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
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'src'));
  const copy = join(folder, 'src/binding.ts');
  copyFileSync(fileURLToPath(new URL('./binding.ts', import.meta.url)), copy);
  const { native } = (await import(copy)) as typeof import('./binding.js');
  const message =
    /^the native binding could not be loaded \(Cannot find module [^\n]*\)\. Build it with: npm run setup$/;
  expect(() => native.version()).toThrow(message);
  expect(() => native.liveTensors()).toThrow(message);
});
