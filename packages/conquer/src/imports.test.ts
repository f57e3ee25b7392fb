import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';

const packages = fileURLToPath(new URL('../../', import.meta.url));

/** The sources of a package, without its tests and without those that begin something when they are imported. */
function modulesOf(name: string): string[] {
  const folder = join(packages, name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/(^|\/)testing\/|\.test\.ts$|-worker\.ts$/.test(file))
    .filter((file) => !['cli/main.ts', 'cli/training-thread.ts', 'golden/cli.ts'].includes(file))
    .map((file) => join(folder, file));
}

it('importing any module of the house loads neither libtorch nor the image addon', async () => {
  const dlopen = vi.spyOn(process, 'dlopen');
  const modules = ['torch', 'image', 'run', 'conquer'].flatMap(modulesOf);
  expect(modules.length).toBeGreaterThan(200);
  for (const file of modules) await import(file);
  const loaded = () => dlopen.mock.calls.map(([, file]) => file).filter((file) => /conquer_/.test(file));
  expect(loaded()).toEqual([]);
  const { torchVersion } = await import('@conquer/torch');
  torchVersion();
  expect(loaded()).toHaveLength(1);
}, 120_000);
