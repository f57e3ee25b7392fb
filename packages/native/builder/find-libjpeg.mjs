// Finds libjpeg-turbo: LIBJPEG (a folder with include/ and lib/), else the system's. Plain Node, nothing installed.
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { buildId } from './build-id.mjs';
import { multiarch } from './find-libtorch.mjs';
import { SetupError } from './setup-error.mjs';

/**
 * @typedef {object} Libjpeg
 * @property {string} version such as "2.1.5"
 * @property {string[]} includeDirs
 * @property {string} libDir
 * @property {string} soname name of its file, links followed
 * @property {string | null} buildId see build-id.mjs
 */

const MACOS = process.platform === 'darwin';
const LIBRARY = MACOS ? 'libjpeg.dylib' : 'libjpeg.so';

/** Version 3 writes more than the macro's quotes around it, older ones a bare word. */
function readVersion(folder) {
  const path = join(folder, 'jconfig.h');
  if (!existsSync(path)) return undefined;
  return readFileSync(path, 'utf8').match(/^#define LIBJPEG_TURBO_VERSION\s+"?([\d.]+)/m)?.[1];
}

/** @returns {Libjpeg | undefined} the libjpeg-turbo in `root`, if it is whole */
function libjpegIn(root) {
  const include = join(root, 'include');
  // Debian keeps jconfig.h beside the libraries of one processor.
  const folders = [include, join(include, multiarch())];
  const version = existsSync(join(include, 'jpeglib.h')) && folders.map(readVersion).find(Boolean);
  const libDir = ['lib', 'lib64', `lib/${multiarch()}`]
    .map((folder) => join(root, folder))
    .find((folder) => existsSync(join(folder, LIBRARY)));
  if (!version || libDir === undefined) return undefined;
  const file = join(libDir, LIBRARY);
  return {
    version,
    includeDirs: [include],
    libDir,
    soname: basename(realpathSync(file)),
    buildId: buildId(file),
  };
}

/**
 * @param {Record<string, string | undefined>} env
 * @returns {Libjpeg | undefined} undefined when LIBJPEG is not set and the system has none
 * @throws {SetupError} when LIBJPEG is set and leads nowhere
 */
export function findLibjpeg(env = process.env) {
  if (env.LIBJPEG) {
    const root = resolve(env.LIBJPEG);
    const found = libjpegIn(root);
    if (found) return found;
    throw new SetupError(
      `LIBJPEG=${env.LIBJPEG} is not a libjpeg-turbo: looked for include/jpeglib.h, include/jconfig.h with LIBJPEG_TURBO_VERSION and lib/${LIBRARY} in ${root}; set it to the folder that holds them, or unset it to use the system's`,
    );
  }
  const brew = [env.HOMEBREW_PREFIX, '/opt/homebrew', '/usr/local'].filter(Boolean);
  const roots = ['/usr', ...brew.flatMap((prefix) => [join(prefix, 'opt/jpeg-turbo'), prefix])];
  for (const root of roots) {
    const found = libjpegIn(root);
    if (found) return found;
  }
  return undefined;
}

/** What to do when there is none. The package is called so on Debian and on Ubuntu, where others provide it. */
export function howToGetLibjpeg() {
  if (MACOS) return 'brew install jpeg-turbo';
  return 'sudo apt-get update && sudo apt-get install -y --no-install-recommends libjpeg-dev';
}
