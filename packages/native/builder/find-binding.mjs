// Which binding is loaded: pairs of a binding and the library it was built against. They are looked for in this order, and
// the first that somebody asked for, or that is there, is taken, or it is an error; none is loaded with another's library.
//   1. what LIBTORCH or LIBTORCH_USE_PYTORCH=1 names, with the binding built against it
//   2. what was built here by `conquer build` or the set-up of a checkout: against LIBTORCH, a Python's libtorch, the system's
//   3. the prebuilt package for this platform, which holds both
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { buildRoots, chosenFolder, folderOf, manifest } from './build-folders.mjs';
import { buildId } from './build-id.mjs';
import {
  givenLibtorch,
  howToGetLibtorch,
  pythonLibtorch,
  systemLibtorch,
  systemRoots,
} from './find-libtorch.mjs';
import { readMarker } from './marker.mjs';
import { SetupError } from './setup-error.mjs';

/**
 * @typedef {'torch' | 'image'} Kind
 *
 * @typedef {object} Pair
 * @property {'LIBTORCH' | 'built here' | 'prebuilt'} origin
 * @property {string} what it is, for people
 * @property {string | null} file the binding; null where there is none
 * @property {string | null} wrong why it cannot be taken; null where it can
 *
 * @typedef {object} Absent
 * @property {string} origin a pair's, or a libtorch's
 * @property {string} why it is not there, in one line
 */

/** Whether a package lies where npm put it, rather than in a checkout. */
const isInstalled = (folder) => folder.split(sep).includes('node_modules');

/** The command that builds the bindings. */
export function howToBuild(folder) {
  if (!isInstalled(folder)) return 'npm run setup';
  try {
    createRequire(join(folder, 'package.json')).resolve('conquer-dml');
    return 'npx conquer build';
  } catch {
    // Without conquer-dml npx would fetch another program of that name.
    const { name } = manifest(folder);
    return `node --input-type=module -e "await (await import('${name}')).buildBinding()"`;
  }
}

/** What a folder of LD_LIBRARY_PATH puts in the place of a binding's library. */
function displacedBy({ soname, buildId: expected }, env) {
  if (process.platform !== 'linux' || expected === null) return null;
  const folders = (env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '');
  const first = folders.find((folder) => existsSync(join(folder, soname)));
  return first !== undefined && buildId(join(first, soname)) !== expected ? join(first, soname) : null;
}

/** Why a binding must not be loaded; null if it may. @param {Kind} kind @param {string} file of the binding */
function whatIsWrong(kind, folder, file, env) {
  const marker = readMarker(file);
  const { name, version } = manifest(folder);
  const again = `build it again: ${howToBuild(folder)}`;
  if (marker?.addon !== `conquer_${kind}`) return `${file} is no binding of ${name}: ${again}`;
  const { conquer, library, version: against, soname, buildId: expected, libDir } = marker;
  if (conquer !== version) return `${file} belongs to ${name} ${conquer}, and this is ${version}: ${again}`;
  // libjpeg has kept its functions for decades, and asks those who call it for their version.
  if (kind === 'image') return null;
  const path = join(libDir ?? join(dirname(file), 'lib'), soname);
  if (!existsSync(path))
    return `${file} was built against ${library} ${against}, but ${path} is gone: ${again}`;
  if (expected !== null && buildId(path) !== expected) {
    return `${file} was built against ${library} ${against}, but ${path} is another by now: ${again}`;
  }
  const other = displacedBy(marker, env);
  if (other !== null)
    return `${file} was built against ${path}, but LD_LIBRARY_PATH puts ${other} in its place: unset that`;
  return null;
}

/** @returns {string | undefined} the binding that was built here against a library */
export const builtFor = (kind, folder, library, env = process.env) =>
  buildRoots(folder, env)
    .map((root) => join(root, folderOf(library), `conquer_${kind}.node`))
    .find(existsSync);

/** @returns {Pair | null} what the environment asks for */
function givenPair(kind, folder, env) {
  const library = kind === 'torch' ? givenLibtorch(env) : undefined;
  if (library === undefined) return null;
  const { origin, version, libDir } = library;
  const what = `libtorch ${version} in ${libDir} (${origin})`;
  const file = builtFor(kind, folder, library, env);
  const again = `${env.LIBTORCH ? `LIBTORCH=${env.LIBTORCH}` : 'LIBTORCH_USE_PYTORCH=1'} ${howToBuild(folder)}`;
  const wrong = file
    ? whatIsWrong(kind, folder, file, env)
    : `${what} has no binding yet: build it with ${again}`;
  return { origin: 'LIBTORCH', what, file: file ?? null, wrong };
}

/** @returns {Pair | null} what was built here */
function builtPair(kind, folder, env) {
  const chosen = chosenFolder(folder, env);
  const file = chosen && join(chosen, `conquer_${kind}.node`);
  if (file === null || !existsSync(file)) return null;
  const { library, version, libDir } = readMarker(file) ?? {};
  const wrong = whatIsWrong(kind, folder, file, env);
  return { origin: 'built here', what: `${library} ${version} in ${libDir}`, file, wrong };
}

const prebuiltName = () => `@conquer-dml/${process.platform}-${process.arch}`;

/** @returns {Pair | null} the package of prebuilt binaries, if it is installed */
function prebuiltPair(kind, folder, env) {
  let root;
  try {
    root = dirname(createRequire(join(folder, 'package.json')).resolve(`${prebuiltName()}/package.json`));
  } catch {
    return null;
  }
  const file = join(root, `conquer_${kind}.node`);
  // A checkout has the package, but not what a script puts into it.
  if (!existsSync(file)) return null;
  const { library, version } = readMarker(file) ?? {};
  const wrong = whatIsWrong(kind, folder, file, env);
  return { origin: 'prebuilt', what: `${prebuiltName()}, ${library} ${version}`, file, wrong };
}

/** The pairs that are there, in the order in which they are taken. @returns {Pair[]} @throws {SetupError} if LIBTORCH leads nowhere */
export function findPairs(kind, folder, env = process.env) {
  return [givenPair, builtPair, prebuiltPair].map((find) => find(kind, folder, env)).filter(Boolean);
}

/** The libtorchs here that a binding could be built against. @returns {import('./find-libtorch.mjs').Libtorch[]} */
export const findLibtorchs = (env = process.env) =>
  [pythonLibtorch(env), systemLibtorch()].filter((found) => found !== undefined);

/** The C library's version where it is glibc's; null with another. */
function glibcVersion() {
  // Names of hosts, which take seconds to look up, are left out; the types of Node 20 do not know the setting yet.
  Object.assign(process.report, { excludeNetwork: true });
  return process.report.getReport().header.glibcVersionRuntime ?? null;
}

/** Why the prebuilt package is not there. */
function whyNoPrebuilt(folder) {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `none is prebuilt for ${process.platform} ${process.arch}`;
  if (glibcVersion() === null)
    return 'the prebuilt one is for glibc, and this system has another C library (musl)';
  return isInstalled(folder)
    ? `its prebuilt package ${prebuiltName()} is not installed (npm install without --omit=optional brings it)`
    : `a checkout has no binaries of ${prebuiltName()}`;
}

/** Why there is no binding, and what can be done. */
function whyNone(kind, folder, env) {
  const { name } = manifest(folder);
  if (!isInstalled(folder)) return `the native binding of ${name} is not built yet: ${howToBuild(folder)}`;
  return `${name} has no native binding here: ${whyNoPrebuilt(folder)}; ${howToGoOn(kind, folder, env)}`;
}

/** What was looked for and is not there, in the order in which it would be taken. @returns {Absent[]} */
export function findAbsent(kind, folder, env = process.env) {
  const pairs = findPairs(kind, folder, env);
  const libtorchs = kind === 'torch' ? findLibtorchs(env) : [];
  const looked = [
    ...(kind === 'torch' ? [['LIBTORCH', 'neither LIBTORCH nor LIBTORCH_USE_PYTORCH is set']] : []),
    ['built here', `nothing was built (${howToBuild(folder)} does)`],
    ['prebuilt', whyNoPrebuilt(folder)],
    ...(kind === 'torch'
      ? [
          ['Python', `${env.PYTHON || 'python3'} has no package torch, or is not there`],
          ['system', `no libtorch in ${systemRoots().join(', ')}`],
        ]
      : []),
  ];
  return looked
    .filter(([origin]) => ![...pairs, ...libtorchs].some((found) => found.origin === origin))
    .map(([origin, why]) => ({ origin, why }));
}

function howToGoOn(kind, folder, env = process.env) {
  const build = howToBuild(folder);
  if (kind === 'image') return `build it, with a C++ compiler and libjpeg-turbo: ${build}`;
  const [found] = findLibtorchs(env);
  return found
    ? `libtorch ${found.version} in ${found.libDir} has no binding yet: build it, with a C++ compiler: ${build}`
    : `get a libtorch (${howToGetLibtorch()}, or LIBTORCH=<its folder>) and a C++ compiler, then build it: ${build}`;
}

/**
 * The binding to load.
 * @param {Kind} kind @param {string} folder of its package
 * @returns {string} its file
 * @throws {SetupError} in one line that says what to do
 */
export function findBinding(kind, folder, env = process.env) {
  const [first] = findPairs(kind, folder, env);
  if (first === undefined) throw new SetupError(whyNone(kind, folder, env));
  if (first.wrong !== null) throw new SetupError(first.wrong);
  return /** @type {string} */ (first.file);
}

/**
 * Loads the binding of a package.
 * @param {Kind} kind @param {string} folder of the package
 * @returns {unknown} what it exports
 * @throws {SetupError} in one line that says what to do
 */
export function loadBinding(kind, folder) {
  const file = findBinding(kind, folder);
  try {
    return createRequire(import.meta.url)(file);
  } catch (error) {
    const reason = String(error instanceof Error ? error.message : error).split('\n')[0];
    const { name } = manifest(folder);
    throw new SetupError(
      `the native binding of ${name} does not load on this system (${reason}); ${howToGoOn(kind, folder)}`,
    );
  }
}
