// Compiles an addon's C++ and links it, of each file only what changed. Plain Node and a C++ compiler: a fresh machine has
// no cmake, and node-gyp would download headers.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { markerSource } from './marker.mjs';
import { SetupError } from './setup-error.mjs';

export const MACOS = process.platform === 'darwin';

/** What both addons include; each of their packages depends on it, so that it is there wherever they are built. */
const SHARED = fileURLToPath(new URL('..', import.meta.url));

const run = promisify(execFile);
const hash = (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex');
const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

/**
 * @typedef {object} Compiler
 * @property {string} name
 * @property {string} version its own words, in one line
 */

/** @returns {Compiler} @throws {SetupError} if there is none */
export function compiler() {
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

function packagedHeaders() {
  try {
    const file = createRequire(import.meta.url).resolve('node-api-headers/package.json');
    return [join(dirname(file), 'include')];
  } catch {
    return [];
  }
}

function nodeApiHeaders() {
  const node = resolve(dirname(process.execPath), '../include/node');
  const folders = [...packagedHeaders(), node, '/usr/include/node'];
  const found = folders.find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found) return found;
  throw new SetupError(
    `no node_api.h in ${folders.join(', ')}: install the npm package node-api-headers (npm ci in a checkout)`,
  );
}

/** @param {string[]} own flags of this addon */
export function compileFlags(name, includeDirs, own) {
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

export const linkFlags = (libDir, libraries) => [
  // A worker's addon is closed with it where no other has it, under threads that it keeps: on Linux it stays.
  ...(MACOS ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-Wl,-z,nodelete']),
  `-L${libDir}`,
  ...libraries,
];

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

/**
 * Takes an object over from another build beside this one: of the same library that lies elsewhere too, or to be carried.
 * @returns {boolean} whether there was one
 */
function takeOver({ name, object, stamp }, folder) {
  const builds = readdirSync(dirname(folder), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const build of builds) {
    const other = join(dirname(folder), build.name, `${name}.o`);
    if (other === object || read(`${other}.stamp`) !== stamp) continue;
    const temporary = `${object}.${process.pid}`;
    copyFileSync(other, temporary);
    // Compiled anew meanwhile, it has no stamp or another.
    if (read(`${other}.stamp`) !== stamp) {
      rmSync(temporary);
      continue;
    }
    rmSync(`${object}.stamp`, { force: true });
    renameSync(temporary, object);
    writeFileSync(`${object}.stamp`, stamp);
    return true;
  }
  return false;
}

async function compileAll(jobs, cxx) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      rmSync(`${job.object}.stamp`, { force: true });
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

/**
 * @typedef {object} Addon
 * @property {string} name such as "conquer_torch"
 * @property {string} sources folder of its C++
 * @property {string} from the library it binds, for people
 * @property {import('./marker.mjs').Marker} marker
 * @property {string[]} flags
 * @property {string[]} link
 * @property {string[]} more files of packages/native that are part of it
 */

function headersOf(addon) {
  const folders = [addon.sources, SHARED];
  const names = (folder) => readdirSync(folder).filter((name) => name.endsWith('.h'));
  return folders.flatMap((folder) =>
    names(folder)
      .sort()
      .map((name) => read(join(folder, name))),
  );
}

function jobsOf(addon, folder, cxx) {
  // Where headers lie does not matter, as the text of ours is here too, the library's build says what its are, and Node's own
  // never change within an NAPI_VERSION: a checkout that was moved or copied is not compiled anew.
  const stamped = addon.flags.filter(
    (flag, at, all) => !flag.startsWith('-I') && flag !== '-isystem' && all[at - 1] !== '-isystem',
  );
  const { libDir: _, ...library } = addon.marker;
  const common = hash(stamped, headersOf(addon), library, cxx.version);
  const files = readdirSync(addon.sources).filter((name) => name.endsWith('.cc'));
  if (files.length === 0) throw new SetupError(`no C++ sources in ${addon.sources}`);
  const sources = [
    ...files.sort().map((name) => join(addon.sources, name)),
    ...addon.more.map((name) => join(SHARED, name)),
  ];
  return sources.map((source) => {
    const name = source.slice(dirname(source).length + 1);
    const text = read(source);
    const own = flagsIn(text);
    const flags = [...addon.flags, ...own];
    return { name, source, flags, object: join(folder, `${name}.o`), stamp: hash(common, own, text) };
  });
}

/**
 * Builds what is out of date of an addon.
 * @param {Addon} addon @param {string} folder for what is built @param {Compiler} cxx @param {(line: string) => void} say
 * @returns {Promise<string>} the addon's file
 */
export async function buildAddon(addon, folder, cxx, say) {
  const output = join(folder, `${addon.name}.node`);
  const jobs = jobsOf(addon, folder, cxx);
  const stale = jobs.filter((job) => !existsSync(job.object) || read(`${job.object}.stamp`) !== job.stamp);
  const linkStamp = hash(
    addon.link,
    addon.marker,
    jobs.map((job) => job.stamp),
  );
  if (stale.length === 0 && existsSync(output) && read(`${output}.stamp`) === linkStamp) {
    say(`native build: up to date with ${addon.from}`);
    return output;
  }
  mkdirSync(folder, { recursive: true });
  const own = stale.filter((job) => !takeOver(job, folder));
  say(`native build: the binding to ${addon.from}, compiling ${own.length} of ${jobs.length} files`);
  await compileAll(own, cxx);
  const marker = join(folder, 'marker.cc');
  writeFileSync(marker, markerSource(addon.marker));
  const objects = jobs.map((job) => job.object);
  rmSync(`${output}.stamp`, { force: true });
  await produce(cxx, ['-fPIC', marker, ...objects, ...addon.link], output, 'linking');
  writeFileSync(`${output}.stamp`, linkStamp);
  return output;
}
