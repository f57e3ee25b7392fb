// Finds a libtorch to build against: LIBTORCH (a path), LIBTORCH_USE_PYTORCH=1 (the one in Python's package torch), else a
// Python's where it is one of 2.x without CUDA, else the system's. Plain Node: this runs before anything is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { buildId } from './build-id.mjs';
import { SetupError } from './setup-error.mjs';

/**
 * @typedef {object} Libtorch
 * @property {string} origin what decided: "LIBTORCH", "LIBTORCH_USE_PYTORCH", "Python" or "system"
 * @property {string} root the folder that LIBTORCH can name
 * @property {string} version such as "1.13.0"
 * @property {string[]} includeDirs
 * @property {string} libDir folder of libtorch_cpu
 * @property {string} soname name of the file of libtorch_cpu, links followed
 * @property {string | null} buildId of libtorch_cpu, see build-id.mjs
 * @property {boolean} cuda
 * @property {string[]} defines compiler flags that this libtorch was built with
 */

const MULTIARCH = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu', riscv64: 'riscv64-linux-gnu' };
const API = 'torch/csrc/api/include';
// Where the macros TORCH_VERSION_MAJOR, ... are: the place moved between releases.
const VERSION_HEADERS = [`${API}/torch/version.h`, 'torch/version.h', 'torch/headeronly/version.h'];

/** Debian's name for this processor's libraries, such as "x86_64-linux-gnu". */
export const multiarch = () => MULTIARCH[process.arch] ?? `${process.arch}-linux-gnu`;

const library = (name) => (process.platform === 'darwin' ? `lib${name}.dylib` : `lib${name}.so`);
const libFolders = () => ['lib', 'lib64', `lib/${multiarch()}`];

function readVersion(include) {
  for (const header of VERSION_HEADERS) {
    const path = join(include, header);
    if (!existsSync(path)) continue;
    const text = readFileSync(path, 'utf8');
    const part = (name) => text.match(new RegExp(`^#define TORCH_VERSION_${name} (\\d+)`, 'm'))?.[1];
    if (part('MAJOR') !== undefined) return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
  }
  return undefined;
}

/** Wheels up to 2.6 were built with the old std::string: whoever links them must be too. */
function abiDefines(root, libDir) {
  for (const folder of [join(root, 'share/cmake/Torch'), join(libDir, 'cmake/Torch')]) {
    const path = join(folder, 'TorchConfig.cmake');
    if (!existsSync(path)) continue;
    const abi = readFileSync(path, 'utf8').match(/-D_GLIBCXX_USE_CXX11_ABI=([01])/)?.[1];
    if (abi !== undefined) return [`-D_GLIBCXX_USE_CXX11_ABI=${abi}`];
  }
  return [];
}

/** Debian's python3-torch holds links into the system's folder; Homebrew's links must stay, they outlive an upgrade. */
function followLinks(libDir) {
  return process.platform === 'darwin' ? libDir : dirname(realpathSync(join(libDir, library('torch_cpu'))));
}

/** @returns {Libtorch | undefined} the libtorch in `root` (a folder with include/ and lib/), if it is whole */
export function libtorchIn(root, origin) {
  const include = join(root, 'include');
  const version = readVersion(include);
  const libDir = libFolders()
    .map((folder) => join(root, folder))
    .find((folder) => existsSync(join(folder, library('torch_cpu'))));
  if (version === undefined || libDir === undefined) return undefined;
  const file = join(libDir, library('torch_cpu'));
  return {
    origin,
    root,
    version,
    includeDirs: [include, join(include, API)],
    libDir: followLinks(libDir),
    soname: basename(realpathSync(file)),
    buildId: buildId(file),
    cuda: existsSync(join(libDir, library('torch_cuda'))),
    defines: abiDefines(root, libDir),
  };
}

/** The files whose presence makes a folder a libtorch, for messages. */
function whatWasLookedFor(root) {
  const state = (path) => `${path} (${existsSync(path) ? 'there' : 'missing'})`;
  const header = VERSION_HEADERS.map((name) => join(root, 'include', name)).find(existsSync);
  const folder = libFolders().find((name) => existsSync(join(root, name, library('torch_cpu'))));
  const libs = folder === undefined ? libFolders() : [folder];
  return `looked for ${state(header ?? join(root, 'include', VERSION_HEADERS[0]))} and ${libs
    .map((name) => state(join(root, name, library('torch_cpu'))))
    .join(' or ')}`;
}

/** The folders where a system keeps its libtorch. */
export function systemRoots() {
  const brew = [process.env.HOMEBREW_PREFIX, '/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew'];
  const prefixes = brew.filter((prefix) => prefix !== undefined && prefix !== '');
  return ['/usr', ...prefixes.flatMap((prefix) => [prefix, join(prefix, 'opt/pytorch')])];
}

/** The libtorch whose libraries lie in this folder; undefined where they, or its headers, are there no more. */
export function libtorchAt(libDir) {
  const roots = [resolve(libDir, '..'), resolve(libDir, '../..')];
  for (const root of roots) {
    const found = libtorchIn(root, 'chosen before');
    if (found?.libDir === libDir) return found;
  }
  return undefined;
}

export function systemLibtorch() {
  for (const root of systemRoots()) {
    const found = libtorchIn(root, 'system');
    if (found) return found;
  }
  return undefined;
}

/** @returns {string | null} where a Python has its package torch; '' if it has none; null where there is no Python */
function pythonTorchFolder(python) {
  const program = [
    'import importlib.util, os, sys',
    'sys.path = [folder for folder in sys.path if folder]', // not the folder that this runs in
    'spec = importlib.util.find_spec("torch")',
    'print(os.path.dirname(spec.origin) if spec and spec.origin else "")',
  ].join('\n');
  try {
    return execFileSync(python, ['-c', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

/** What LIBTORCH_USE_PYTORCH=1 asks for. */
function askedPythonLibtorch(python) {
  const folder = pythonTorchFolder(python);
  if (folder === null) {
    throw new SetupError(
      `LIBTORCH_USE_PYTORCH=1, but '${python}' does not run: put python3 on the PATH, name another with PYTHON, or unset LIBTORCH_USE_PYTORCH`,
    );
  }
  if (folder === '') {
    throw new SetupError(
      `LIBTORCH_USE_PYTORCH=1, but '${python}' has no package torch: install it (${python} -m pip install torch), name a Python that has it with PYTHON, or unset LIBTORCH_USE_PYTORCH`,
    );
  }
  const found = libtorchIn(folder, 'LIBTORCH_USE_PYTORCH');
  if (found) return found;
  throw new SetupError(
    `LIBTORCH_USE_PYTORCH=1, but the torch package of '${python}' brings no headers or library: ${whatWasLookedFor(folder)}; reinstall it with pip, or unset LIBTORCH_USE_PYTORCH`,
  );
}

/** The libtorch of this interpreter's package torch, whatever it is. @param {string} python */
export function libtorchOf(python) {
  const folder = pythonTorchFolder(python);
  return folder ? libtorchIn(folder, 'Python') : undefined;
}

/** That of the interpreter that PYTHON names, else of python3. */
export const pythonLibtorch = (env = process.env) => libtorchOf(env.PYTHON || 'python3');

/** Whether a Python's is taken without being asked for: no old one, and no gigabytes of a card's. */
export const isTakenUnasked = ({ version, cuda }) => Number.parseInt(version, 10) >= 2 && !cuda;

/** @returns {Libtorch | undefined} what LIBTORCH or LIBTORCH_USE_PYTORCH names; undefined where neither is set */
export function givenLibtorch(env = process.env) {
  if (env.LIBTORCH) {
    const root = resolve(env.LIBTORCH);
    const found = libtorchIn(root, 'LIBTORCH');
    if (found) return found;
    throw new SetupError(
      `LIBTORCH=${env.LIBTORCH} is not a libtorch: ${whatWasLookedFor(root)}; set it to the folder that holds include/ and lib/, or unset it to use the system's`,
    );
  }
  const usePython = env.LIBTORCH_USE_PYTORCH;
  if (usePython === '1') return askedPythonLibtorch(env.PYTHON || 'python3');
  if (usePython !== undefined && usePython !== '' && usePython !== '0') {
    throw new SetupError(
      `LIBTORCH_USE_PYTORCH=${usePython} is neither 1 nor 0: set it to 1 to link the torch package of python3`,
    );
  }
  return undefined;
}

/**
 * @param {Record<string, string | undefined>} env
 * @returns {Libtorch | undefined} undefined when nothing is set and neither Python nor the system has one
 * @throws {SetupError} when LIBTORCH or LIBTORCH_USE_PYTORCH is set and leads nowhere
 */
export function findLibtorch(env = process.env) {
  const given = givenLibtorch(env);
  if (given) return given;
  const python = pythonLibtorch(env);
  return python && isTakenUnasked(python) ? python : systemLibtorch();
}

/** What to do when there is no libtorch at all. */
export function howToGetLibtorch() {
  if (process.platform === 'darwin') return 'brew install pytorch';
  if (!existsSync('/usr/bin/apt-get')) return "the system's package of it, or conda-forge's";
  return 'sudo apt-get update && sudo apt-get install -y --no-install-recommends libtorch-dev libopenblas0-openmp';
}
