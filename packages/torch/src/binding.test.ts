import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it, vi } from 'vitest';

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

it('a libtorch that has no binding is one line wherever the engine is first used', () => {
  const root = temporaryFolder();
  mkdirSync(join(root, 'include/torch'), { recursive: true });
  mkdirSync(join(root, 'lib'));
  const version = ['MAJOR 2', 'MINOR 99', 'PATCH 1'].map((part) => `#define TORCH_VERSION_${part}\n`);
  writeFileSync(join(root, 'include/torch/version.h'), version.join(''));
  writeFileSync(join(root, `lib/libtorch_cpu.${process.platform === 'darwin' ? 'dylib' : 'so'}`), '');
  const program = `
    import { eye, numThreads, SetupError, tensor } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url))};
    for (const use of [() => tensor([1]), () => eye(2), numThreads]) {
      try {
        use();
      } catch (error) {
        console.log(error instanceof SetupError, error.message);
      }
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, LIBTORCH: root },
    encoding: 'utf8',
  });
  const line = `true libtorch 2.99.1 in ${join(root, 'lib')} (LIBTORCH) has no binding yet: build it with LIBTORCH=${root} npm run setup`;
  expect([stderr, stdout.trimEnd().split('\n')]).toEqual(['', [line, line, line]]);
});
