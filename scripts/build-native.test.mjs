import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const SCRIPTS = fileURLToPath(new URL('.', import.meta.url));
const SHARED = fileURLToPath(new URL('../packages/native', import.meta.url));
const MODULES = fileURLToPath(new URL('../node_modules', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'conquer-build-'));
const native = join(work, 'packages/torch/native');
const nativeImage = join(work, 'packages/image/native');
const root = join(work, 'libtorch');
/** The addon that was chosen. */
function addonOf(name) {
  const build = join(work, `packages/${name}/build`);
  return join(build, readFileSync(join(build, 'chosen'), 'utf8').trim(), `conquer_${name}.node`);
}

const library = (name) => join(root, `lib/lib${name}.${process.platform === 'darwin' ? 'dylib' : 'so'}`);
const setVersion = (minor) =>
  writeFileSync(
    join(root, 'include/torch/csrc/api/include/torch/version.h'),
    `#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH 0\n`,
  );

const MODULE = `#include <node_api.h>
#include "answer.h"
static napi_value answer_js(napi_env env, napi_callback_info) {
  napi_value value;
  napi_create_int32(env, answer(), &value);
  return value;
}
NAPI_MODULE_INIT() {
  napi_value f;
  napi_create_function(env, "answer", NAPI_AUTO_LENGTH, answer_js, nullptr, &f);
  napi_set_named_property(env, exports, "answer", f);
  return exports;
}
`;
const ANSWER = '#include "answer.h"\nint answer() { return ANSWER + __cplusplus / 100 % 100; }\n';

const JPEG_MODULE = `#include <cstdio>
#include <jpeglib.h>
#include <node_api.h>
NAPI_MODULE_INIT() {
  jpeg_error_mgr errors;
  jpeg_std_error(&errors);
  return exports;
}
`;

/** The scripts build a small addon in a copy of the repository's layout, against empty libraries. */
beforeAll(() => {
  cpSync(SCRIPTS, join(work, 'scripts'), { recursive: true });
  cpSync(SHARED, join(work, 'packages/native'), { recursive: true });
  for (const folder of [native, nativeImage]) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, '../package.json'),
      '{ "name": "@conquer-dml/a-package", "version": "1.2.3" }',
    );
  }
  mkdirSync(join(root, 'lib'), { recursive: true });
  mkdirSync(join(root, 'include/torch/csrc/api/include/torch'), { recursive: true });
  symlinkSync(MODULES, join(work, 'node_modules'));
  for (const name of ['torch_cpu', 'c10']) {
    execFileSync(process.env.CXX || 'c++', ['-shared', '-x', 'c++', '/dev/null', '-o', library(name)]);
  }
  setVersion(1);
  writeFileSync(join(native, 'answer.h'), '#pragma once\n#define ANSWER 100\nint answer();\n');
  writeFileSync(join(native, 'answer.cc'), ANSWER);
  writeFileSync(join(native, 'module.cc'), MODULE);
  writeFileSync(join(nativeImage, 'module.cc'), JPEG_MODULE);
});
afterAll(() => rmSync(work, { recursive: true }));

function build(env = {}) {
  const script = join(work, 'scripts/build-native.mjs');
  return spawnSync(process.execPath, [script], {
    env: { ...process.env, LIBTORCH: root, ...env },
    encoding: 'utf8',
  });
}

/** What the addon says: its number and the year of its C++ standard. In a new process, as addons stay loaded. */
function answer() {
  const program = `process.stdout.write(String(require(${JSON.stringify(addonOf('torch'))}).answer()))`;
  return execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' });
}

test('builds what changed and nothing else, as C++17 up to libtorch 2.12 and C++20 from 2.13', () => {
  expect(build().stdout).toContain('compiling 2 of 2 files');
  expect(answer()).toBe('117');
  execFileSync(process.execPath, ['-e', `require(${JSON.stringify(addonOf('image'))})`]);
  expect(build().stdout.match(/up to date with lib(torch|jpeg-turbo) /g)).toHaveLength(2);
  writeFileSync(join(native, 'answer.cc'), `${ANSWER}// changed\n`);
  expect(build().stdout).toContain('compiling 1 of 2 files');
  writeFileSync(join(native, 'answer.h'), '#pragma once\n#define ANSWER 200\nint answer();\n');
  expect(build().stdout).toContain('compiling 2 of 2 files');
  expect(answer()).toBe('217');
  setVersion(13);
  expect(build().stdout).toContain('compiling 2 of 2 files');
  expect(answer()).toBe('217'); // which stays chosen
  rmSync(join(work, 'packages/torch/build/chosen'));
  expect(build().stdout).toContain('up to date with libtorch 2.13.0');
  expect(answer()).toBe('220');
});

test("a compile error shows the compiler's words and leaves the addon as it was", () => {
  writeFileSync(join(native, 'answer.cc'), 'int answer() { return "text"; }\n');
  const { status, stderr } = build();
  expect(status).toBe(1);
  expect(stderr).toMatch(/answer\.cc:1:\d+: error/);
  expect(stderr).toContain('compiling answer.cc failed');
  expect(stderr).not.toContain('    at ');
  writeFileSync(join(native, 'answer.cc'), ANSWER);
  expect(build().status).toBe(0);
});

test('a file is compiled with the flags in its first line, and the header that the addons share', () => {
  const shared = join(work, 'packages/native');
  writeFileSync(join(shared, 'shared.h'), '#define SHARED 1000\n');
  writeFileSync(
    join(native, 'answer.cc'),
    '// build: -DMORE=7 -O1\n#include "shared.h"\nint answer() { return SHARED + MORE; }\n',
  );
  expect(build().status).toBe(0);
  expect(answer()).toBe('1007');
  writeFileSync(join(shared, 'shared.h'), '#define SHARED 2000\n');
  expect(build().stdout).toContain('compiling 2 of 2 files');
  expect(answer()).toBe('2007');
  writeFileSync(join(native, 'answer.cc'), ANSWER);
});

test('the same library in another place takes over what was compiled; one of another build does not', () => {
  build();
  const moved = join(work, 'moved');
  cpSync(root, moved, { recursive: true });
  expect(build({ LIBTORCH: moved }).stdout).toContain('compiling 0 of 2 files');
  expect(build({ LIBTORCH: moved }).stdout).toContain('up to date with libtorch');
  const other = join(moved, relative(root, library('torch_cpu')));
  const anotherId = '-Wl,--build-id=0x0123456789abcdef';
  execFileSync(process.env.CXX || 'c++', ['-shared', '-x', 'c++', '/dev/null', anotherId, '-o', other]);
  expect(build({ LIBTORCH: moved }).stdout).toContain('compiling 2 of 2 files');
});

test('a missing compiler is said in one line', () => {
  const { status, stderr } = build({ CXX: '/nonexistent/c++' });
  expect(status).toBe(1);
  expect(stderr.trim()).toMatch(/^no C\+\+ compiler: '\/nonexistent\/c\+\+' does not run; [^\n]+$/);
});

test('a compiler without C++20 is told apart from a broken build', () => {
  const old = join(work, 'old-compiler');
  // What a compiler from before C++20 answers to the flag.
  writeFileSync(old, '#!/bin/sh\ncase "$*" in *c++20*) exit 1;; esac\nexec c++ "$@"\n', { mode: 0o755 });
  const { status, stderr } = build({ CXX: old });
  expect(status).toBe(1);
  expect(stderr).toContain('libtorch 2.13.0 needs C++20');
});

test('a wrong LIBJPEG is said in one line', () => {
  const { status, stderr } = build({ LIBJPEG: '/nonexistent' });
  expect(status).toBe(1);
  expect(stderr.trim()).toMatch(/^LIBJPEG=\/nonexistent is not a libjpeg-turbo: looked for [^\n]+$/);
});
