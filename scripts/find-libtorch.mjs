// Finds libtorch: LIBTORCH (a path), LIBTORCH_USE_PYTORCH=1 (the wheel of the Python package), the system's.
// Plain Node: this runs before anything is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** A mistake or a lack on the user's side: shown as one message, without a stack trace. */
export class SetupError extends Error {}

/**
 * @typedef {object} Libtorch
 * @property {string} origin what decided: "LIBTORCH", "LIBTORCH_USE_PYTORCH" or "system"
 * @property {string} version such as "1.13.0"
 * @property {string[]} includeDirs
 * @property {string} libDir folder of libtorch_cpu
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
function libtorchIn(root, origin) {
  const include = join(root, 'include');
  const version = readVersion(include);
  const libDir = libFolders()
    .map((folder) => join(root, folder))
    .find((folder) => existsSync(join(folder, library('torch_cpu'))));
  if (version === undefined || libDir === undefined) return undefined;
  return {
    origin,
    version,
    includeDirs: [include, join(include, API)],
    libDir: followLinks(libDir),
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

function systemRoots() {
  const brew = [process.env.HOMEBREW_PREFIX, '/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew'];
  const prefixes = brew.filter((prefix) => prefix !== undefined && prefix !== '');
  return ['/usr', ...prefixes.flatMap((prefix) => [prefix, join(prefix, 'opt/pytorch')])];
}

function systemLibtorch() {
  for (const root of systemRoots()) {
    const found = libtorchIn(root, 'system');
    if (found) return found;
  }
  return undefined;
}

function pythonTorchFolder(python) {
  const program = [
    'import importlib.util, os',
    'spec = importlib.util.find_spec("torch")',
    'print(os.path.dirname(spec.origin) if spec and spec.origin else "")',
  ].join('\n');
  let folder;
  try {
    folder = execFileSync(python, ['-c', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    throw new SetupError(
      `LIBTORCH_USE_PYTORCH=1, but '${python}' does not run: put python3 on the PATH, name another with PYTHON, or unset LIBTORCH_USE_PYTORCH`,
    );
  }
  if (folder !== '') return folder;
  throw new SetupError(
    `LIBTORCH_USE_PYTORCH=1, but '${python}' has no package torch: install it (${python} -m pip install torch), name a Python that has it with PYTHON, or unset LIBTORCH_USE_PYTORCH`,
  );
}

function pythonLibtorch(python) {
  const folder = pythonTorchFolder(python);
  const found = libtorchIn(folder, 'LIBTORCH_USE_PYTORCH');
  if (found) return found;
  throw new SetupError(
    `LIBTORCH_USE_PYTORCH=1, but the torch package of '${python}' brings no headers or library: ${whatWasLookedFor(folder)}; reinstall it with pip, or unset LIBTORCH_USE_PYTORCH`,
  );
}

/**
 * @param {Record<string, string | undefined>} env
 * @returns {Libtorch | undefined} undefined when nothing is set and the system has none
 * @throws {SetupError} when LIBTORCH or LIBTORCH_USE_PYTORCH is set and leads nowhere
 */
export function findLibtorch(env = process.env) {
  if (env.LIBTORCH) {
    const root = resolve(env.LIBTORCH);
    const found = libtorchIn(root, 'LIBTORCH');
    if (found) return found;
    throw new SetupError(
      `LIBTORCH=${env.LIBTORCH} is not a libtorch: ${whatWasLookedFor(root)}; set it to the folder that holds include/ and lib/, or unset it to use the system's`,
    );
  }
  const usePython = env.LIBTORCH_USE_PYTORCH;
  if (usePython === '1') return pythonLibtorch(env.PYTHON || 'python3');
  if (usePython !== undefined && usePython !== '' && usePython !== '0') {
    throw new SetupError(
      `LIBTORCH_USE_PYTORCH=${usePython} is neither 1 nor 0: set it to 1 to link the torch package of python3`,
    );
  }
  return systemLibtorch();
}

/** What to do when there is no libtorch at all. */
export function howToGetLibtorch() {
  if (process.platform === 'darwin') return 'brew install pytorch';
  return 'sudo apt-get update && sudo apt-get install -y --no-install-recommends libtorch-dev libopenblas0-openmp';
}
