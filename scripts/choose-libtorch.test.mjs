import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, expect, test, vi } from 'vitest';
import { choose, folderOf } from '../packages/native/builder/build-folders.mjs';
import { systemLibtorch } from '../packages/native/builder/find-libtorch.mjs';
import { markerSource } from '../packages/native/builder/marker.mjs';
import { chooseLibtorch } from './choose-libtorch.mjs';
import { fetchedLibtorch } from './packing/fetch-libtorch.mjs';

let work;
let torch;
beforeEach(() => {
  work = temporaryFolder();
  torch = join(work, 'torch');
  put(join(torch, 'package.json'), '{ "name": "@conquer-dml/torch", "version": "1.2.3" }');
  vi.stubEnv('CONQUER_CACHE', join(work, 'cache'));
  vi.stubEnv('LIBTORCH', '');
  vi.stubEnv('LIBTORCH_USE_PYTORCH', '');
  return () => vi.unstubAllEnvs();
});

function put(path, text = '') {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function libtorch(root) {
  const lines = ['MAJOR 2', 'MINOR 13', 'PATCH 0'].map((line) => `#define TORCH_VERSION_${line}\n`);
  put(join(root, 'include/torch/version.h'), lines.join(''));
  put(join(root, `lib/libtorch_cpu.${process.platform === 'darwin' ? 'dylib' : 'so'}`));
  return root;
}

/** A Python whose package torch is in this folder (none: ''), and whose pip does this; it leaves a file when asked. */
function python(folder, pip = 'exit 1') {
  const text = `#!/bin/sh\nif [ "$1" = -m ]; then\ntouch ${work}/asked\n${pip}\nelse echo ${folder}\nfi\n`;
  const file = put(join(work, 'python'), text);
  chmodSync(file, 0o755);
  vi.stubEnv('PYTHON', file);
}

const asked = () => existsSync(join(work, 'asked'));

test('what LIBTORCH names goes first, then a Python of 2.x; pip is not asked', async () => {
  python(libtorch(join(work, 'pythons')));
  vi.stubEnv('LIBTORCH', libtorch(join(work, 'given')));
  const given = await chooseLibtorch(torch);
  expect([given.libtorch.root, given.why]).toEqual([join(work, 'given'), 'as LIBTORCH says']);
  vi.stubEnv('LIBTORCH', '');
  expect((await chooseLibtorch(torch)).libtorch.root).toBe(join(work, 'pythons'));
  expect(asked()).toBe(false);
});

test('what was chosen before stays, whatever else is there; pip is not asked', async () => {
  python("''");
  libtorch(fetchedLibtorch());
  const libDir = join(libtorch(join(work, 'before')), 'lib');
  const name = folderOf({ version: '2.13.0', libDir });
  const marker = JSON.parse(/= (".*");/.exec(markerSource({ addon: 'conquer_torch', libDir }))[1]);
  put(join(torch, 'build', name, 'conquer_torch.node'), `${marker}\0`);
  choose(join(torch, 'build'), name);
  const { libtorch: found, why } = await chooseLibtorch(torch);
  expect([found.libDir, why]).toEqual([libDir, 'as before']);
  expect(asked()).toBe(false);
});

const onlyWhereFetched = test.skipIf(`${process.platform}-${process.arch}` !== 'linux-x64');

onlyWhereFetched("PyTorch's, fetched before, goes before the system's; pip is not asked", async () => {
  python("''");
  libtorch(fetchedLibtorch());
  expect((await chooseLibtorch(torch, { mayFetch: false })).libtorch.root).toBe(fetchedLibtorch());
  expect(asked()).toBe(false);
  vi.stubEnv('LIBTORCH', '/usr');
  expect((await chooseLibtorch(torch)).libtorch).toEqual(systemLibtorch());
});

onlyWhereFetched.each([
  ['has no pip', 'echo "No module named pip" >&2; exit 1', /^the system's: .*No module named pip/],
  [
    'gets the build for CUDA',
    `echo '{ "install": [{ "metadata": { "name": "torch" } }, { "metadata": { "name": "nvidia-cublas" } }] }'`,
    /^the system's: .* is the build for CUDA: .*PIP_INDEX_URL=/,
  ],
])(
  "the system's is taken where Python %s, with the reason in one line, and nothing is fetched",
  async (_, pip, reason) => {
    python("''", pip);
    const said = [];
    const { libtorch: found, why } = await chooseLibtorch(torch, { say: (line) => said.push(line) });
    expect(found).toEqual(systemLibtorch());
    expect(why).toMatch(reason);
    expect(why).not.toContain('\n');
    expect([asked(), said, existsSync(join(work, 'cache'))]).toEqual([true, [], false]);
  },
);
