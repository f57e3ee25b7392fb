import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { findLibtorch, isTakenUnasked, libtorchAt, pythonLibtorch } from './find-libtorch.mjs';

const work = mkdtempSync(join(tmpdir(), 'conquer-find-'));
afterAll(() => rmSync(work, { recursive: true }));

const soname = process.platform === 'darwin' ? 'dylib' : 'so';

function put(path, text = '') {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function libtorch(name, { header, abi, cuda } = {}) {
  const root = join(work, name);
  const version =
    '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 14\n#define TORCH_VERSION_PATCH 1\n';
  put(join(root, 'include', header ?? 'torch/csrc/api/include/torch/version.h'), version);
  put(join(root, `lib/libtorch_cpu.${soname}`));
  if (cuda) put(join(root, `lib/libtorch_cuda.${soname}`));
  if (abi)
    put(
      join(root, 'share/cmake/Torch/TorchConfig.cmake'),
      `set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=${abi}")`,
    );
  return root;
}

/** The message that the program gives for an environment, and its exit code. */
function build(env) {
  const script = fileURLToPath(new URL('../../../scripts/build-native.mjs', import.meta.url));
  const clean = { ...process.env, LIBTORCH: undefined, LIBTORCH_USE_PYTORCH: undefined, PYTHON: undefined };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    env: { ...clean, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('a wrong LIBTORCH gets one line that names the files looked for', () => {
  const { status, stdout, stderr } = build({ LIBTORCH: '/nonexistent' });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain('/nonexistent/include/torch/csrc/api/include/torch/version.h (missing)');
  expect(stderr).toContain(`/nonexistent/lib/libtorch_cpu.${soname} (missing)`);
  expect(stderr).toContain('unset it');
});

test('a LIBTORCH without its library says which half is there', () => {
  const root = libtorch('half');
  rmSync(join(root, 'lib'), { recursive: true });
  const half = () => findLibtorch({ LIBTORCH: root });
  expect(half).toThrow(`${join(root, 'include/torch/csrc/api/include/torch/version.h')} (there)`);
  expect(half).toThrow(`${join(root, `lib/libtorch_cpu.${soname}`)} (missing)`);
});

test('LIBTORCH_USE_PYTORCH with a Python that has no torch says so in one line', () => {
  const python = join(work, 'bare-python');
  // -S leaves the installed packages out.
  writeFileSync(python, '#!/bin/sh\nexec python3 -I -S "$@"\n');
  chmodSync(python, 0o755);
  const { status, stderr } = build({ LIBTORCH_USE_PYTORCH: '1', PYTHON: python });
  expect(status).toBe(1);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain(`'${python}' has no package torch`);
});

test('LIBTORCH_USE_PYTORCH without a Python, and with a wrong value', () => {
  expect(() => findLibtorch({ LIBTORCH_USE_PYTORCH: '1', PYTHON: '/nonexistent/python' })).toThrow(
    'does not run',
  );
  expect(() => findLibtorch({ LIBTORCH_USE_PYTORCH: 'yes' })).toThrow('neither 1 nor 0');
});

test('LIBTORCH goes before LIBTORCH_USE_PYTORCH', () => {
  const root = libtorch('first');
  const found = findLibtorch({ LIBTORCH: root, LIBTORCH_USE_PYTORCH: '1', PYTHON: '/nonexistent/python' });
  expect(found).toEqual({
    origin: 'LIBTORCH',
    root,
    version: '2.14.1',
    includeDirs: [join(root, 'include'), join(root, 'include/torch/csrc/api/include')],
    libDir: join(root, 'lib'),
    soname: `libtorch_cpu.${soname}`,
    buildId: null,
    cuda: false,
    defines: [],
  });
});

test('reads the version where newer releases keep it, the ABI of a wheel, and CUDA', () => {
  const root = libtorch('wheel', { header: 'torch/headeronly/version.h', abi: '0', cuda: true });
  expect(findLibtorch({ LIBTORCH: root })).toMatchObject({
    version: '2.14.1',
    cuda: true,
    defines: ['-D_GLIBCXX_USE_CXX11_ABI=0'],
  });
});

test.skipIf(process.platform === 'darwin')('follows links to where the library is', () => {
  const root = libtorch('links');
  const folder = join(work, 'python/torch');
  mkdirSync(join(folder, 'lib'), { recursive: true });
  symlinkSync(join(root, 'include'), join(folder, 'include'));
  symlinkSync(join(root, 'lib/libtorch_cpu.so'), join(folder, 'lib/libtorch_cpu.so'));
  expect(findLibtorch({ LIBTORCH: folder }).libDir).toBe(join(root, 'lib'));
});

test("a Python's libtorch is taken unasked where it is of 2.x and has no CUDA", () => {
  const root = libtorch('unasked');
  const python = (name, folder) => {
    const file = join(work, name);
    writeFileSync(file, `#!/bin/sh\necho ${folder}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const found = findLibtorch({ PYTHON: python('with-torch', root) });
  expect(found).toMatchObject({ origin: 'Python', version: '2.14.1', libDir: join(root, 'lib') });
  expect(findLibtorch({ PYTHON: python('without-torch', '') })?.origin).not.toBe('Python');
  expect(findLibtorch({ PYTHON: '/nonexistent/python' })?.origin).not.toBe('Python');
  const cuda = pythonLibtorch({ PYTHON: python('with-cuda', libtorch('card', { cuda: true })) });
  expect([cuda, found, { ...found, version: '1.13.1' }].map(isTakenUnasked)).toEqual([false, true, false]);
});

test('is found again by the folder of its library', () => {
  const root = libtorch('again');
  expect(libtorchAt(join(root, 'lib'))).toMatchObject({ version: '2.14.1', libDir: join(root, 'lib') });
  rmSync(join(root, 'include'), { recursive: true });
  expect(libtorchAt(join(root, 'lib'))).toBeUndefined();
});
