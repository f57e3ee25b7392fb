import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { choose, folderOf, writableRoot } from './build-folders.mjs';
import { buildId } from './build-id.mjs';
import { findAbsent, findBinding, findPairs, loadBinding } from './find-binding.mjs';
import { markerSource, readMarker } from './marker.mjs';

const soname = `libtorch_cpu.${process.platform === 'darwin' ? 'dylib' : 'so'}`;
const platform = `@conquer-dml/${process.platform}-${process.arch}`;

let work;
let torch;
let env;
/** A package as npm installs it, in an empty world: no Python, no cache. */
beforeEach(() => {
  // What the tests themselves run on.
  vi.stubEnv('LIBTORCH', undefined);
  work = temporaryFolder();
  torch = join(work, 'node_modules/@conquer-dml/torch');
  put(join(torch, 'package.json'), '{ "name": "@conquer-dml/torch", "version": "1.2.3" }');
  put(
    join(work, 'node_modules/conquer-dml/package.json'),
    '{ "name": "conquer-dml", "exports": "./index.js" }',
  );
  put(join(work, 'node_modules/conquer-dml/index.js'));
  env = { CONQUER_CACHE: join(work, 'cache'), PYTHON: '/nonexistent/python' };
});

afterEach(() => vi.unstubAllEnvs());

function put(path, text = '') {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** An ELF file that has nothing but its build id, a number of four bytes. */
function library(path, number) {
  const bytes = Buffer.alloc(64 + 56 + 20);
  bytes.write('\x7fELF\x02\x01', 'latin1');
  bytes.writeBigUInt64LE(64n, 32); // where the headers of segments are
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(4, 64); // a segment of notes
  bytes.writeBigUInt64LE(120n, 64 + 8);
  bytes.writeBigUInt64LE(20n, 64 + 32);
  bytes.writeBigUInt64LE(4n, 64 + 48);
  for (const [i, value] of [4, 4, 3].entries()) bytes.writeUInt32LE(value, 120 + 4 * i);
  bytes.write('GNU\0', 132, 'latin1');
  bytes.writeUInt32BE(number, 136);
  put(path);
  writeFileSync(path, bytes);
}

const numbered = (number) => number.toString(16).padStart(8, '0');
/** What stands in a binding, and nothing else. */
function binding(path, number, marker = {}) {
  const written = { addon: 'conquer_torch', conquer: '1.2.3', library: 'libtorch', version: '2.13.0' };
  const text = markerSource({
    ...written,
    buildId: numbered(number),
    soname,
    cuda: false,
    libDir: null,
    ...marker,
  });
  const literal = JSON.parse(text.slice(text.indexOf('"conquer-binding'), text.lastIndexOf(';')));
  return put(path, `\x7fELF something ${literal}\0 and more`);
}

function prebuilt(number = 7, marker = {}) {
  const folder = join(work, 'node_modules', platform);
  put(join(folder, 'package.json'), `{ "name": "${platform}" }`);
  library(join(folder, 'lib', soname), number);
  return binding(join(folder, 'conquer_torch.node'), number, marker);
}

function libtorch(name, number) {
  const root = join(work, name);
  const lines = ['MAJOR 2', 'MINOR 13', 'PATCH 0'].map((line) => `#define TORCH_VERSION_${line}\n`);
  put(join(root, 'include/torch/version.h'), lines.join(''));
  library(join(root, 'lib', soname), number);
  return root;
}

/** The binding against a libtorch, as if it had been built. */
function built(root, number, marker = {}) {
  const libDir = join(root, 'lib');
  const name = folderOf({ version: '2.13.0', libDir });
  const file = binding(join(torch, 'build', name, 'conquer_torch.node'), number, { libDir, ...marker });
  choose(join(torch, 'build'), name);
  return file;
}

const found = () => findBinding('torch', torch, env);

test('what is there is taken in order: LIBTORCH, what was built here, the prebuilt package', () => {
  const ready = prebuilt();
  expect(found()).toBe(ready);
  const mine = built(libtorch('mine', 1), 1);
  const given = built(libtorch('given', 2), 2);
  choose(join(torch, 'build'), folderOf({ version: '2.13.0', libDir: join(work, 'mine/lib') }));
  expect(found()).toBe(mine);
  env.LIBTORCH = join(work, 'given');
  expect(found()).toBe(given);
  expect(findPairs('torch', torch, env).map(({ origin }) => origin)).toEqual([
    'LIBTORCH',
    'built here',
    'prebuilt',
  ]);
});

describe('a binding is not loaded with a libtorch that it was not built against:', () => {
  test('the library was replaced', () => {
    const root = libtorch('root', 1);
    built(root, 1);
    prebuilt();
    expect(found()).toContain('build');
    library(join(root, 'lib', soname), 2);
    expect(found).toThrow(
      /was built against libtorch 2\.13\.0, but .*root.* is another by now: .*npx conquer build$/,
    );
    rmSync(join(root, 'lib'), { recursive: true });
    expect(found).toThrow(/libtorch_cpu\.\w+ is gone: .*npx conquer build$/);
  });

  test('the prebuilt package holds two that do not belong together, or is of another version', () => {
    prebuilt();
    library(join(work, 'node_modules', platform, 'lib', soname), 8);
    expect(found).toThrow('is another by now');
    prebuilt(7, { conquer: '1.2.2' });
    expect(found).toThrow(/belongs to @conquer-dml\/torch 1\.2\.2, and this is 1\.2\.3: /);
  });

  test.skipIf(process.platform !== 'linux')('LD_LIBRARY_PATH leads to another', () => {
    prebuilt();
    library(join(work, 'other', soname), 9);
    env.LD_LIBRARY_PATH = `${work}:${join(work, 'other')}`;
    expect(found).toThrow(`LD_LIBRARY_PATH puts ${join(work, 'other', soname)} in its place: unset that`);
    library(join(work, 'other', soname), 7);
    expect(found()).toContain('conquer_torch.node');
  });

  test('the file is none of ours', () => {
    writeFileSync(prebuilt(), 'something');
    expect(found).toThrow('is no binding of @conquer-dml/torch');
  });
});

test('a libtorch without a binding is answered by the command that builds it', () => {
  env.LIBTORCH = libtorch('new', 3);
  prebuilt();
  expect(found).toThrow(
    `libtorch 2.13.0 in ${join(work, 'new/lib')} (LIBTORCH) has no binding yet: build it with LIBTORCH=${env.LIBTORCH} npx conquer build`,
  );
  delete env.LIBTORCH;
  rmSync(join(work, 'node_modules', platform), { recursive: true });
  const python = put(join(work, 'python'), `#!/bin/sh\necho ${join(work, 'new')}\n`);
  chmodSync(python, 0o755);
  env.PYTHON = python;
  expect(found).toThrow(
    /^@conquer-dml\/torch has no native binding here: .*; libtorch 2\.13\.0 in \S+\/new\/lib has no binding yet: [^\n]+npx conquer build$/,
  );
});

test('what is built goes into the cache where the package cannot be written, for this version of it', () => {
  expect(writableRoot(torch, env)).toBe(join(torch, 'build'));
  rmSync(join(torch, 'build'), { recursive: true });
  put(join(torch, 'build')); // no folder can be made of it
  const root = writableRoot(torch, env);
  expect(root).toBe(join(work, 'cache/builds/torch-1.2.3'));
  const libDir = join(libtorch('mine', 1), 'lib');
  const file = binding(join(root, 'a-build/conquer_torch.node'), 1, { libDir });
  choose(root, 'a-build');
  expect(found()).toBe(file);
  put(join(torch, 'package.json'), '{ "name": "@conquer-dml/torch", "version": "1.2.4" }');
  expect(found).toThrow('has no native binding here');
});

test('a binding that the system cannot load says why, and what to do', () => {
  prebuilt();
  expect(() => loadBinding('torch', torch)).toThrow(
    /^the native binding of @conquer-dml\/torch does not load on this system \([^\n]+\); [^\n]*npx conquer build$/,
  );
});

test('without conquer-dml nobody is told to run a program that is not ours', () => {
  rmSync(join(work, 'node_modules/conquer-dml'), { recursive: true });
  expect(found).toThrow(/node --input-type=module -e ".*import\('@conquer-dml\/torch'\).*buildBinding/);
});

test.skipIf(process.platform !== 'linux')("what is read of a library is the linker's number", () => {
  expect(buildId(process.execPath)).toMatch(/^[0-9a-f]{16,}$|^null$/);
  library(join(work, 'library'), 0xabcd);
  expect(buildId(join(work, 'library'))).toBe('0000abcd');
  expect(readMarker(join(work, 'library'))).toBeNull();
});

describe('where none is prebuilt, one line says so and what to do:', () => {
  const { platform: ofNode, arch } = process;
  /** As process.report has it of a Node for this system; glibc null: musl's. */
  function on(platform, arch, glibc) {
    Object.defineProperties(process, { platform: { value: platform }, arch: { value: arch } });
    const header = glibc === null ? {} : { glibcVersionRuntime: glibc };
    vi.spyOn(process.report, 'getReport').mockReturnValue({ header });
  }
  beforeEach(() => () => {
    vi.restoreAllMocks();
    Object.defineProperties(process, { platform: { value: ofNode }, arch: { value: arch } });
  });

  test.each([
    ['linux', 'x64', null, 'the prebuilt one is for glibc, and this system has another C library (musl)'],
    ['linux', 'arm64', '2.36', 'none is prebuilt for linux arm64'],
    ['darwin', 'arm64', null, 'none is prebuilt for darwin arm64'],
    ['win32', 'x64', null, 'none is prebuilt for win32 x64'],
    ['linux', 'x64', '2.36', '@conquer-dml/linux-x64 is not installed (npm install without --omit=optional'],
  ])('%s %s, glibc %s', (system, processor, glibc, reason) => {
    on(system, processor, glibc);
    expect(found).toThrow(/^@conquer-dml\/torch has no native binding here: [^\n]*npx conquer build$/);
    expect(found).toThrow(reason);
    expect(findAbsent('torch', torch, env)).toContainEqual({
      origin: 'prebuilt',
      why: expect.stringContaining(reason),
    });
  });
});

test('what was looked for and is not there is told in order, and what is there is not', () => {
  const origins = () => findAbsent('torch', torch, env).map(({ origin }) => origin);
  // Of the system's nothing is known.
  const without = () => origins().filter((origin) => origin !== 'system');
  expect(without()).toEqual(['LIBTORCH', 'built here', 'prebuilt', 'Python']);
  prebuilt();
  expect(without()).toEqual(['LIBTORCH', 'built here', 'Python']);
  built(libtorch('mine', 1), 1);
  expect(without()).toEqual(['LIBTORCH', 'Python']);
  expect(findAbsent('image', torch, env).map(({ origin }) => origin)).toEqual(['built here', 'prebuilt']);
});
