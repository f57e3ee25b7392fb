// The libtorch that platform packages are made of: PyTorch's own CPU build, out of its wheel. Kept in the cache folder as
// something that LIBTORCH can name (include/, lib/), with the licences of all that is in it.
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

/**
 * @param {(line: string) => void} say
 * @param {string} version of PyTorch
 * @returns {Promise<string>} a folder with include/, lib/ and licenses/
 * @throws {SetupError} when pip does not get it, or gets the build for CUDA
 */
export async function fetchLibtorch(say = console.log, version = TORCH_VERSION) {
  const name = `libtorch-${version}-cpu-${process.platform}-${process.arch}`;
  const folder = join(cacheFolder(), name);
  if (existsSync(folder)) return folder;
  const python = process.env.PYTHON || 'python3';
  say(`libtorch ${version}: fetching PyTorch's wheel (200 MB, once; kept in ${folder})`);
  mkdirSync(cacheFolder(), { recursive: true });
  const temporary = mkdtempSync(join(cacheFolder(), `${name}.`));
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--no-cache-dir', '--only-binary', ':all:'];
    const wheels = join(temporary, 'wheels');
    await run(python, [...pip, '--dest', wheels, `torch==${version}`]).catch((error) => {
      throw new SetupError(
        `torch ${version} cannot be had by ${python} -m pip download (${reason(error)}): look at the network, or name a Python that has pip by PYTHON`,
      );
    });
    const unpacked = join(temporary, 'libtorch');
    const { stdout } = await run(python, [UNPACK, wheels, unpacked]);
    if (stdout.trim() === 'cuda') {
      throw new SetupError(
        `torch ${version} as pip gets it here is the build for CUDA: for the CPU's set PIP_INDEX_URL=https://download.pytorch.org/whl/cpu`,
      );
    }
    renameSync(unpacked, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
