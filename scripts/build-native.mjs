// Compiles packages/torch/native/*.cc against libtorch into packages/torch/build/conquer_torch.node.
// Plain Node and a C++ compiler: a fresh machine has no cmake, and node-gyp would download headers.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findLibtorch, howToGetLibtorch, multiarch, SetupError } from './find-libtorch.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const NATIVE = join(ROOT, 'packages/torch/native');
const BUILD = join(ROOT, 'packages/torch/build');
const ADDON = join(BUILD, 'conquer_torch.node');
const MACOS = process.platform === 'darwin';

const run = promisify(execFile);
const hash = (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex');
const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

function compiler() {
  const name = process.env.CXX || 'c++';
  try {
    const version = execFileSync(name, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { name, version: version.split('\n')[0] };
  } catch {
    throw new SetupError(
      `no C++ compiler: '${name}' does not run; install one (${MACOS ? 'xcode-select --install' : 'sudo apt-get install g++'}) or name another with CXX`,
    );
  }
}

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

function nodeApiHeaders() {
  const folders = [
    join(ROOT, 'node_modules/node-api-headers/include'),
    resolve(dirname(process.execPath), '../include/node'),
    '/usr/include/node',
  ];
  const found = folders.find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found) return found;
  throw new SetupError(`no node_api.h in ${folders.join(', ')}: run npm ci first`);
}

function compileFlags(libtorch, cxx) {
  // /usr/include is searched anyway, and naming it would change the order of the C++ library's headers.
  const includes = libtorch.includeDirs.filter((folder) => folder !== '/usr/include');
  return [
    standard(libtorch, cxx),
    '-O2',
    '-fPIC',
    '-fvisibility=hidden',
    '-Wall',
    '-Wextra',
    '-DNDEBUG',
    '-DNAPI_VERSION=8',
    '-DNODE_GYP_MODULE_NAME=conquer_torch',
    ...libtorch.defines,
    ...(libtorch.cuda ? ['-DCONQUER_CUDA'] : []),
    ...includes.flatMap((folder) => ['-isystem', folder]),
    `-I${nodeApiHeaders()}`,
  ];
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

function linkFlags(libtorch) {
  if (MACOS) {
    const folder = libtorch.libDir;
    return [
      '-bundle',
      '-undefined',
      'dynamic_lookup',
      `-L${folder}`,
      '-ltorch_cpu',
      '-lc10',
      `-Wl,-rpath,${folder}`,
    ];
  }
  return [
    '-shared',
    ...openmpBlas(libtorch),
    `-L${libtorch.libDir}`,
    // Without --no-as-needed the linker would drop libtorch_cuda, which registers its operators when loaded.
    ...(libtorch.cuda ? ['-Wl,--no-as-needed', '-ltorch_cuda', '-lc10_cuda'] : []),
    '-ltorch_cpu',
    '-lc10',
    `-Wl,-rpath,${libtorch.libDir}`,
  ];
}

/** Runs a compiler; writes to a temporary name first, so that an interrupted build leaves no half file. */
async function produce(cxx, args, output, what) {
  const temporary = `${output}.${process.pid}`;
  try {
    const { stderr } = await run(cxx.name, [...args, '-o', temporary], { maxBuffer: 1 << 28 });
    if (stderr) process.stderr.write(stderr);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (error.stderr === undefined) throw error;
    process.stderr.write(error.stderr);
    throw new SetupError(`${what} failed: see ${cxx.name}'s messages above`);
  }
  renameSync(temporary, output);
}

async function compileAll(jobs, cxx, flags) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      try {
        await produce(cxx, [...flags, '-c', job.source], job.object, `compiling ${job.name}`);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
      writeFileSync(`${job.object}.stamp`, job.stamp);
    }
  };
  const parallel = Math.max(2, Math.min(4, availableParallelism()));
  await Promise.all(Array.from({ length: parallel }, worker));
}

/**
 * Builds what is out of date.
 * @param {(line: string) => void} say
 */
export async function buildNative(say = console.log) {
  const libtorch = findLibtorch();
  if (libtorch === undefined) {
    throw new SetupError(
      `no libtorch on this system: run ${howToGetLibtorch()}, or set LIBTORCH to the folder of one, or LIBTORCH_USE_PYTORCH=1 to link the torch package of python3`,
    );
  }
  const cxx = compiler();
  const flags = compileFlags(libtorch, cxx);
  const link = linkFlags(libtorch);
  const files = readdirSync(NATIVE).sort();
  const headers = files.filter((name) => name.endsWith('.h')).map((name) => read(join(NATIVE, name)));
  const common = hash(flags, headers, libtorch.version, libtorch.libDir, cxx.version);
  const jobs = files
    .filter((name) => name.endsWith('.cc'))
    .map((name) => {
      const source = join(NATIVE, name);
      return { name, source, object: join(BUILD, `${name}.o`), stamp: hash(common, read(source)) };
    });
  if (jobs.length === 0) throw new SetupError(`no C++ sources in ${NATIVE}`);

  const stale = jobs.filter((job) => !existsSync(job.object) || read(`${job.object}.stamp`) !== job.stamp);
  const linkStamp = hash(
    link,
    jobs.map((job) => job.stamp),
  );
  const from = `libtorch ${libtorch.version} in ${libtorch.libDir} (${libtorch.origin}${libtorch.cuda ? ', with CUDA' : ''})`;
  if (stale.length === 0 && existsSync(ADDON) && read(`${ADDON}.stamp`) === linkStamp) {
    say(`native build: up to date with ${from}`);
    return;
  }
  say(`native build: the binding to ${from}, compiling ${stale.length} of ${jobs.length} files`);
  mkdirSync(BUILD, { recursive: true });
  await compileAll(stale, cxx, flags);
  await produce(cxx, [...jobs.map((job) => job.object), ...link], ADDON, 'linking');
  writeFileSync(`${ADDON}.stamp`, linkStamp);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await buildNative();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
