// Where the bindings that are built here lie: <package>/build, or where that cannot be written, conquer's folder in the
// user's cache. Each library it was built against has a folder of its own there, so that one can be built, and tried,
// beside the other; the file "chosen" names the one that is taken where nobody says otherwise.
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** @returns {{ name: string, version: string }} of the package in this folder */
export const manifest = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** The folder's name for a library, as find-libtorch.mjs or find-libjpeg.mjs found it. */
export function folderOf({ version, libDir, cuda = false }) {
  const place = createHash('sha256').update(libDir).digest('hex').slice(0, 8);
  return `${version}${cuda ? '-cuda' : ''}-${place}`;
}

/** The folders that may hold a package's builds, the preferred one first. */
export function buildRoots(folder, env = process.env) {
  const { name, version } = manifest(folder);
  const cache = env.CONQUER_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'conquer');
  return [join(folder, 'build'), join(cache, 'builds', `${name.split('/').at(-1)}-${version}`)];
}

/** The first of them that can be written; made, if it is not there. @throws the system's error where none can */
export function writableRoot(folder, env = process.env) {
  const [own, cached] = buildRoots(folder, env);
  try {
    mkdirSync(own, { recursive: true });
    accessSync(own, constants.W_OK);
    return own;
  } catch {
    mkdirSync(cached, { recursive: true });
    return cached;
  }
}

/** @returns {string | null} the folder of the build that was chosen; null where none was, or it is gone */
export function chosenFolder(folder, env = process.env) {
  for (const root of buildRoots(folder, env)) {
    const record = join(root, 'chosen');
    if (!existsSync(record)) continue;
    const chosen = join(root, readFileSync(record, 'utf8').trim());
    if (existsSync(chosen)) return chosen;
  }
  return null;
}

/** @param {string} root of buildRoots @param {string} name of a folder in it */
export const choose = (root, name) => writeFileSync(join(root, 'chosen'), `${name}\n`);
