// Compiles the addons: packages/torch/native/*.cc against libtorch into packages/torch/build/conquer_torch.node, and
// packages/image/native/*.cc against libjpeg-turbo into packages/image/build/conquer_image.node.
// Plain Node and a C++ compiler: a fresh machine has no cmake, and node-gyp would download headers.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findLibjpeg, howToGetLibjpeg } from './find-libjpeg.mjs';
import { findLibtorch, howToGetLibtorch, multiarch, SetupError } from './find-libtorch.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const MACOS = process.platform === 'darwin';

/** What both addons include; each of their packages depends on it, so that it is there wherever they are built. */
const SHARED = join(ROOT, 'packages/native');

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

function compileFlags(name, includeDirs, own) {
  // /usr/include is searched anyway, and naming it would change the order of the C++ library's headers.
  const includes = includeDirs.filter((folder) => folder !== '/usr/include');
  return [
    ...own,
    '-fPIC',
    '-fvisibility=hidden',
    '-Wall',
    '-Wextra',
    '-DNDEBUG',
    '-DNAPI_VERSION=8',
    `-DNODE_GYP_MODULE_NAME=${name}`,
    ...includes.flatMap((folder) => ['-isystem', folder]),
    `-I${nodeApiHeaders()}`,
    `-I${SHARED}`,
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

function linkFlags(libDir, libraries) {
  return [
    ...(MACOS ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared']),
    `-L${libDir}`,
    ...libraries,
    `-Wl,-rpath,${libDir}`,
  ];
}

/**
 * @typedef {object} Addon
 * @property {string} package folder of the package under packages/
 * @property {string} name
 * @property {string} from the library it binds, for people
 * @property {string[]} library what of the library decides whether to build again
 * @property {string[]} flags
 * @property {string[]} link
 * @property {string} [folder] in the package, for what is built; default build
 */

/** @returns {Addon} */
function torchAddon(cxx) {
  const libtorch = findLibtorch();
  if (libtorch === undefined) {
    throw new SetupError(
      `no libtorch on this system: run ${howToGetLibtorch()}, or set LIBTORCH to the folder of one, or LIBTORCH_USE_PYTORCH=1 to link the torch package of python3`,
    );
  }
  const { version, libDir, origin, cuda, includeDirs, defines } = libtorch;
  const own = [standard(libtorch, cxx), '-O2', ...defines, ...(cuda ? ['-DCONQUER_CUDA'] : [])];
  return {
    package: 'torch',
    name: 'conquer_torch',
    from: `libtorch ${version} in ${libDir} (${origin}${cuda ? ', with CUDA' : ''})`,
    library: [version, libDir],
    flags: compileFlags('conquer_torch', includeDirs, own),
    link: linkFlags(libDir, [
      ...openmpBlas(libtorch),
      // Without --no-as-needed the linker would drop libtorch_cuda, which registers its operators when loaded.
      ...(cuda && !MACOS ? ['-Wl,--no-as-needed', '-ltorch_cuda', '-lc10_cuda'] : []),
      '-ltorch_cpu',
      '-lc10',
    ]),
  };
}

/** @returns {Addon} */
function imageAddon() {
  const libjpeg = findLibjpeg();
  if (libjpeg === undefined) {
    throw new SetupError(
      `no libjpeg-turbo on this system: run ${howToGetLibjpeg()}, or set LIBJPEG to the folder that holds its include/ and lib/`,
    );
  }
  const { version, libDir, includeDirs } = libjpeg;
  return {
    package: 'image',
    name: 'conquer_image',
    from: `libjpeg-turbo ${version} in ${libDir}`,
    library: [version, libDir],
    flags: compileFlags('conquer_image', includeDirs, ['-std=c++17', '-O3']),
    link: linkFlags(libDir, ['-ljpeg', '-pthread']),
  };
}

/**
 * What a file is compiled with beyond its addon's flags: its first line says it, as `// build: -O3 -ffast-math`, and its
 * comment why. No pragma: clang knows none, and GCC's comes too late for the C library's headers, which offer vector
 * functions only to a file compiled with -ffast-math.
 */
function flagsIn(source) {
  const [, flags] = /^\/\/ build: (.*)/.exec(source) ?? [];
  return flags === undefined ? [] : flags.trim().split(/ +/);
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

async function compileAll(jobs, cxx) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      try {
        await produce(cxx, [...job.flags, '-c', job.source], job.object, `compiling ${job.name}`);
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

/** @param {Addon} addon */
async function buildAddon(addon, cxx, say) {
  const native = join(ROOT, 'packages', addon.package, 'native');
  const build = join(ROOT, 'packages', addon.package, addon.folder ?? 'build');
  const output = join(build, `${addon.name}.node`);
  const files = readdirSync(native).sort();
  const headers = [native, SHARED]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.h'))
    .sort()
    .map(read);
  const common = hash(addon.flags, headers, addon.library, cxx.version);
  const jobs = files
    .filter((name) => name.endsWith('.cc'))
    .map((name) => {
      const source = join(native, name);
      const text = read(source);
      const flags = [...addon.flags, ...flagsIn(text)];
      return { name, source, flags, object: join(build, `${name}.o`), stamp: hash(common, flags, text) };
    });
  if (jobs.length === 0) throw new SetupError(`no C++ sources in ${native}`);

  const stale = jobs.filter((job) => !existsSync(job.object) || read(`${job.object}.stamp`) !== job.stamp);
  const linkStamp = hash(
    addon.link,
    jobs.map((job) => job.stamp),
  );
  if (stale.length === 0 && existsSync(output) && read(`${output}.stamp`) === linkStamp) {
    say(`native build: up to date with ${addon.from}`);
    return;
  }
  say(`native build: the binding to ${addon.from}, compiling ${stale.length} of ${jobs.length} files`);
  mkdirSync(build, { recursive: true });
  await compileAll(stale, cxx);
  await produce(cxx, [...jobs.map((job) => job.object), ...addon.link], output, 'linking');
  writeFileSync(`${output}.stamp`, linkStamp);
}

/**
 * Builds what is out of date.
 * @param {(line: string) => void} say
 */
export async function buildNative(say = console.log) {
  const cxx = compiler();
  for (const addon of [torchAddon(cxx), imageAddon()]) await buildAddon(addon, cxx, say);
}

/**
 * Builds the addons under AddressSanitizer, beside the usual ones: for the tests that look for memory errors in them.
 * @param {(line: string) => void} say
 * @returns {Promise<Record<string, string>>} the addons by package, and what to preload into Node
 */
export async function buildWithAddressSanitizer(say = console.log) {
  const cxx = compiler();
  const runtime = execFileSync(cxx.name, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  if (!runtime.includes('/')) throw new SetupError(`${cxx.name} has no AddressSanitizer`);
  const own = ['-fsanitize=address', '-fno-omit-frame-pointer', '-g1', '-O1'];
  const built = { runtime };
  for (const addon of [torchAddon(cxx), imageAddon()]) {
    const folder = 'build/asan';
    const flags = [...addon.flags, ...own];
    await buildAddon({ ...addon, folder, flags, link: [...addon.link, '-fsanitize=address'] }, cxx, say);
    built[addon.package] = join(ROOT, 'packages', addon.package, folder, `${addon.name}.node`);
  }
  return built;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv[2] === '--asan')
      console.log(JSON.stringify(await buildWithAddressSanitizer(console.error)));
    else await buildNative();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
