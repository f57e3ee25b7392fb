import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

// Of the packages as they are built, in a process of its own: there a module takes half a millisecond.

const packages = fileURLToPath(new URL('../../', import.meta.url));

/** The modules of a package, without its tests and without those that begin something when they are imported. */
function modulesOf(name: string): string[] {
  return readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/(^|\/)testing\/|\.test\.ts$|-(worker|thread)\.ts$/.test(file))
    .filter((file) => !['cli/main.ts', 'golden/cli.ts'].includes(file))
    .map((file) => join(packages, name, 'dist', file.replace(/\.ts$/, '.js')));
}

const run = (program: string, ...args: string[]) =>
  execFileSync(process.execPath, ['--input-type=module', '-e', program, ...args], { encoding: 'utf8' });

it('importing any module of the house loads neither libtorch nor the image addon', () => {
  const modules = ['torch', 'image', 'run', 'dashboard', 'conquer'].flatMap(modulesOf);
  expect(modules.length).toBeGreaterThan(300);
  const program = `
    const loaded = [];
    const { dlopen } = process;
    process.dlopen = (...args) => { loaded.push(args[1]); return dlopen(...args); };
    for (const file of process.argv.slice(1)) await import(file);
    const byImport = loaded.filter((file) => /conquer_/.test(file));
    const { torchVersion } = await import(process.argv[1]);
    torchVersion();
    console.log(JSON.stringify({ byImport, byUse: loaded.filter((file) => /conquer_/.test(file)) }));`;
  const { byImport, byUse } = JSON.parse(run(program, join(packages, 'torch/dist/index.js'), ...modules));
  expect(byImport).toEqual([]);
  expect(byUse).toEqual([expect.stringMatching(/conquer_torch\.node$/)]);
});

/** The files that Node reads before a module's first line: what it imports, and what that imports, in its own folder. */
function importedBy(file: string, read = new Set<string>()): Set<string> {
  if (read.has(file)) return read;
  read.add(file);
  const imports = /^(?:import|export)\b(?:[^'"=;]*\bfrom)?\s*['"](\.{1,2}\/[^'"]+)['"]/gm;
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(imports))
    importedBy(join(dirname(file), path), read);
  return read;
}

it("import 'conquer-dml' reads less than half as many files as there are modules: each takes Node 0.4 ms, whatever is in it", () => {
  const bundled = importedBy(join(packages, 'conquer/dist/bundle/index.js'));
  const plain = importedBy(join(packages, 'conquer/dist/index.js'));
  expect(plain.size).toBeGreaterThan(200);
  expect(bundled.size).toBeGreaterThan(1);
  expect(bundled.size).toBeLessThan(plain.size / 2);
});
