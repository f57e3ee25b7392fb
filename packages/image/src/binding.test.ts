import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';

it('that is not built can be imported, and says how to build it at each use', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'src'));
  const copy = join(folder, 'src/binding.ts');
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  copyFileSync(here('./binding.ts'), copy);
  copyFileSync(here('../package.json'), join(folder, 'package.json'));
  symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
  const { native } = (await import(copy)) as typeof import('./binding.js');
  const message = 'the native binding of @conquer-dml/image is not built yet: npm run setup';
  expect(() => native.checksum(new Uint8Array(1))).toThrow(message);
  expect(() => native.cancel(1)).toThrow(message);
});
