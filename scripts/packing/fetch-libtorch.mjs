// The libtorch that platform packages are made of, and a checkout's set-up takes where it can be had: PyTorch's own CPU build,
// out of its wheel. Kept in the cache folder as something that LIBTORCH can name (include/, lib/), with the licences of all
// that is in it.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SetupError } from '../../packages/native/builder/setup-error.mjs';

/** The version of libtorch in the platforms' packages. */
export const TORCH_VERSION = '2.13.0';

const run = promisify(execFile);

/** As packages/conquer/src/cache-folder.ts, which is not built when this runs. */
export function cacheFolder(env = process.env) {
  if (env.CONQUER_CACHE) return env.CONQUER_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'conquer');
}

const UNPACK = fileURLToPath(new URL('unpack-wheel.py', import.meta.url));

/** The line of pip's, or of the interpreter's where it has no pip, that says why. */
function reason(error) {
  const lines = `${error.stderr || error.message}`.trim().split('\n');
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1)).trim();
}

const ofCuda = (version) =>
  `torch ${version} as pip gets it here is the build for CUDA: for the CPU's set PIP_INDEX_URL=https://download.pytorch.org/whl/cpu`;

const cannotBeHad = (python, version, error) =>
  `torch ${version} cannot be had by ${python} -m pip (${reason(error)}): look at the network, or name a Python that has pip by PYTHON`;

/** Packages that only a build for CUDA asks for, whatever its own name. */
const OF_CUDA = /^(nvidia-|cuda-|triton$)/;

/** A network that does not answer is waited for half a minute, in place of minutes. */
const PATIENCE = ['--retries', '1', '--timeout', '15'];

/**
 * Asks pip, before it downloads hundreds of megabytes, what they would be.
 * @param {string} python interpreter
 * @param {string} version of PyTorch
 * @returns {Promise<string | null>} why its CPU build cannot be had; null where it can
 */
export async function whyNoCpuBuild(python, version = TORCH_VERSION) {
  const options = ['--dry-run', '--ignore-installed', '--only-binary', ':all:', '--quiet', '--report', '-'];
  const args = ['-m', 'pip', 'install', ...PATIENCE, ...options, `torch==${version}`];
  try {
    const { stdout } = await run(python, args, { maxBuffer: 1 << 28 });
    const names = JSON.parse(stdout).install.map(({ metadata }) => metadata.name);
    if (!names.some((name) => OF_CUDA.test(name))) return null;
    return ofCuda(version);
  } catch (error) {
    return cannotBeHad(python, version, error);
  }
}

/** Where it is kept, whether or not it is there. */
export const fetchedLibtorch = (version = TORCH_VERSION) =>
  join(cacheFolder(), `libtorch-${version}-cpu-${process.platform}-${process.arch}`);

/**
 * @param {(line: string) => void} say
 * @param {string} version of PyTorch
 * @returns {Promise<string>} a folder with include/, lib/ and licenses/
 * @throws {SetupError} when pip does not get it, or gets the build for CUDA
 */
export async function fetchLibtorch(say = console.log, version = TORCH_VERSION) {
  const folder = fetchedLibtorch(version);
  if (existsSync(folder)) return folder;
  const python = process.env.PYTHON || 'python3';
  const wanting = await whyNoCpuBuild(python, version);
  if (wanting !== null) throw new SetupError(wanting);
  say(`libtorch ${version}: fetching PyTorch's wheel (200 MB, once; kept in ${folder})`);
  mkdirSync(cacheFolder(), { recursive: true });
  const temporary = mkdtempSync(`${folder}.`);
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--no-cache-dir', '--only-binary', ':all:'];
    const wheels = join(temporary, 'wheels');
    await run(python, [...pip, '--dest', wheels, `torch==${version}`]).catch((error) => {
      throw new SetupError(cannotBeHad(python, version, error));
    });
    const unpacked = join(temporary, 'libtorch');
    const { stdout } = await run(python, [UNPACK, wheels, unpacked]);
    if (stdout.trim() === 'cuda') throw new SetupError(ofCuda(version));
    renameSync(unpacked, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
