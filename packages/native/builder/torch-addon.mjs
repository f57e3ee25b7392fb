// packages/torch/native against a libtorch: conquer_torch.node.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { manifest } from './build-folders.mjs';
import { compileFlags, linkFlags, MACOS } from './compile.mjs';
import { multiarch } from './find-libtorch.mjs';
import { SetupError } from './setup-error.mjs';

/** libtorch's own headers demand C++20 from 2.13 on; before that C++17 is what it was compiled with. */
function standard(libtorch, cxx) {
  const [major = 0, minor = 0] = libtorch.version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 13)) return '-std=c++17';
  try {
    execFileSync(cxx.name, ['-std=c++20', '-fsyntax-only', '-x', 'c++', '-'], {
      input: '#include <concepts>\n#include <span>\n',
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  } catch {
    throw new SetupError(
      `libtorch ${libtorch.version} needs C++20, which ${cxx.version} does not know: install g++ 11 or newer, or name another compiler with CXX`,
    );
  }
  return '-std=c++20';
}

/**
 * Debian's libtorch takes whichever BLAS update-alternatives points at. Python packages pull in the pthread
 * OpenBLAS, whose own threads compete with libtorch's OpenMP threads. Naming the OpenMP one first makes the
 * loader take it for this process, as libraries are matched by soname.
 */
function openmpBlas(libtorch) {
  if (MACOS || libtorch.libDir !== `/usr/lib/${multiarch()}`) return [];
  const folder = join(libtorch.libDir, 'openblas-openmp');
  const files = ['libblas.so.3', 'liblapack.so.3'].map((name) => join(folder, name));
  if (!files.every(existsSync)) return [];
  return ['-Wl,--no-as-needed', ...files, `-Wl,-rpath,${folder}`];
}

/**
 * @param {string} folder of packages/torch
 * @param {import('./find-libtorch.mjs').Libtorch} libtorch
 * @param {import('./compile.mjs').Compiler} cxx
 * @returns {import('./compile.mjs').Addon}
 */
export function torchAddon(folder, libtorch, cxx) {
  const { version, libDir, soname, buildId, origin, cuda, includeDirs, defines } = libtorch;
  const name = 'conquer_torch';
  const own = [standard(libtorch, cxx), '-O2', ...defines, ...(cuda ? ['-DCONQUER_CUDA'] : [])];
  return {
    name,
    sources: join(folder, 'native'),
    from: `libtorch ${version} in ${libDir} (${origin}${cuda ? ', with CUDA' : ''})`,
    marker: {
      addon: name,
      conquer: manifest(folder).version,
      library: 'libtorch',
      version,
      buildId,
      soname,
      cuda,
      libDir,
    },
    flags: compileFlags(name, includeDirs, own),
    link: [
      ...linkFlags(libDir, [
        ...openmpBlas(libtorch),
        // Without --no-as-needed the linker would drop libtorch_cuda, which registers its operators when loaded.
        ...(cuda && !MACOS ? ['-Wl,--no-as-needed', '-ltorch_cuda', '-lc10_cuda'] : []),
        '-ltorch_cpu',
        '-lc10',
      ]),
      `-Wl,-rpath,${libDir}`,
    ],
    more: [],
  };
}
