// What must be so of the packages before anybody gets them, looked up in the tarballs themselves.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { platformProblems } from './check-platform.mjs';
import { readJson } from './stage.mjs';

const ATTW = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules/.bin/attw');
const run = promisify(execFile);

/**
 * @typedef {object} Unpacked
 * @property {string} tarball
 * @property {string} folder where it was unpacked
 * @property {any} manifest its package.json
 * @property {string[]} files in it, by their paths from there
 */

/** The only files that a package may hold. */
const ALLOWED = {
  'conquer-dml':
    /^(bin\/conquer\.js|dist\/bundle\/([\w-]+\.js|zod-license\.txt)|dist\/.*\.d\.ts|dist\/cli\/help\.txt|experiment\.schema\.json|recipes\/[\w-]+\.json)$/,
  '@conquer-dml/native': /^(node-api\.h|portable\.cc|builder\/[\w-]+(\.d\.mts|\.mjs))$/,
  '@conquer-dml/torch': /^(dist\/.*\.(js|d\.ts)|native\/[\w-]+\.(cc|h))$/,
  '@conquer-dml/image': /^(dist\/.*\.(js|d\.ts)|native\/[\w-]+\.(cc|h))$/,
  '@conquer-dml/run': /^dist\/.*\.(js|d\.ts)$/,
  '@conquer-dml/browser': /^dist\/.*\.(js|d\.ts)$/,
  '@conquer-dml/dashboard':
    /^(dist\/.*\.(js|d\.ts)|dist\/page\/(index\.html|assets\/[\w-]+\.(js|css)|licenses\.md))$/,
  '@conquer-dml/emoji': /^$/,
  '@conquer-dml/weights': /^(NOTICE|[\w.-]+\.safetensors)$/,
};
const ALLOWED_ON_PLATFORM = /^(conquer_(torch|image)\.node|lib\/lib[\w.-]+|licenses\/.*|NOTICE)$/;
const EVERYWHERE = ['package.json', 'README.md', 'LICENSE'];
const TESTING = /(^|\/)(golden|testing|fixtures|tests?)\/|\.(test|slow)\.|\.tsbuildinfo$|\.stamp$/;

const isPlatform = ({ manifest }) => manifest.os !== undefined;

/** @returns {string[]} what is not as it must be of the files of a package */
function filesProblems({ folder, manifest, files }) {
  const allowed = manifest.os ? ALLOWED_ON_PLATFORM : ALLOWED[manifest.name];
  const problems = [];
  if (allowed === undefined)
    return ['is no package that is known: add what it may hold to check-tarballs.mjs'];
  for (const file of EVERYWHERE) if (!files.includes(file)) problems.push(`has no ${file}`);
  for (const file of files) {
    if (EVERYWHERE.includes(file)) continue;
    if (TESTING.test(file)) problems.push(`holds ${file}, which is for tests`);
    else if (!allowed.test(file)) problems.push(`holds ${file}, which it should not`);
    if (!/\.(js|mjs|css|d\.ts)$/.test(file)) continue;
    const [, map] =
      /\/[/*]# sourceMappingURL=(\S+)\s*(\*\/)?\s*$/.exec(readFileSync(join(folder, file), 'utf8')) ?? [];
    if (map && !map.startsWith('data:'))
      problems.push(`${file} names the source map ${map}, whose sources are not in it`);
  }
  return problems;
}

/** Whatever a package asks of another of ours, it asks in the version that is packed beside it. */
function dependencyProblems({ manifest }, all) {
  const versions = new Map(all.map((one) => [one.manifest.name, one.manifest.version]));
  return ['dependencies', 'optionalDependencies'].flatMap((kind) =>
    Object.entries(manifest[kind] ?? {}).flatMap(([name, wanted]) => {
      if (!name.startsWith('@conquer-dml/') && name !== 'conquer-dml') return [];
      if (!versions.has(name)) return [`depends on ${name}, which is not packed`];
      if (versions.get(name) !== wanted)
        return [`asks for ${name} ${wanted}, which is ${versions.get(name)}`];
      return [];
    }),
  );
}

/** @returns {string[] | undefined} packages each of which depends on the next, and the last on the first */
export function circle(all) {
  const needs = new Map(
    all.map(({ manifest }) => [
      manifest.name,
      Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    ]),
  );
  const walk = (name, path) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    for (const next of needs.get(name) ?? []) {
      const found = needs.has(next) && walk(next, [...path, name]);
      if (found) return found;
    }
    return undefined;
  };
  for (const name of needs.keys()) {
    const found = walk(name, []);
    if (found) return found;
  }
  return undefined;
}

async function publintProblems({ folder, manifest }) {
  const { messages } = await publint({ pkgDir: folder, pack: false, strict: true });
  return messages.map((message) => `publint: ${formatMessage(message, manifest, { color: false })}`);
}

/** ES modules only, as Node 20.19 and later read them: how CommonJS and older resolvers see them is left out. */
async function typesProblems({ tarball, manifest }) {
  if (manifest.exports?.['.']?.types === undefined) return [];
  try {
    await run(ATTW, [tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color']);
    return [];
  } catch (error) {
    return [`arethetypeswrong: ${`${error.stdout || error.message}`.trim()}`];
  }
}

/** What is everybody's, and must be said by each. */
function manifestProblems({ manifest }, { version }) {
  const problems = [];
  if (manifest.version !== version)
    problems.push(`has version ${manifest.version}, and the checkout ${version}`);
  for (const key of ['description', 'license', 'repository', 'engines'])
    if (!manifest[key]) problems.push(`says no ${key}`);
  for (const key of ['preinstall', 'install', 'postinstall', 'prepare'])
    if (manifest.scripts?.[key]) problems.push(`runs a script at installation (${key})`);
  if (manifest.private) problems.push('is private');
  return problems;
}

/** @returns {Promise<Unpacked>} */
async function unpack(tarball, into) {
  const folder = join(into, basename(tarball, '.tgz'));
  mkdirSync(folder, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1));
  return { tarball, folder, manifest: readJson(join(folder, 'package.json')), files };
}

/** The packages, each after those that it depends on. @param {Unpacked[]} all without a circle */
export function publishingOrder(all) {
  const ordered = new Set();
  const add = (one) => {
    const needs = Object.keys({ ...one.manifest.dependencies, ...one.manifest.optionalDependencies });
    for (const other of all) if (needs.includes(other.manifest.name)) add(other);
    ordered.add(one);
  };
  for (const one of all) add(one);
  return [...ordered];
}

/**
 * @param {string[]} tarballs of all packages
 * @param {{ version: string }} root the checkout's package.json
 * @returns {Promise<{ problems: string[], packages: Unpacked[] }>} what is wrong, a line each; the packages in the order to publish
 *   them in, whose folders are gone by then
 */
export async function checkTarballs(tarballs, root) {
  const work = mkdtempSync(join(tmpdir(), 'conquer-tarballs-'));
  try {
    const all = await Promise.all(tarballs.map((tarball) => unpack(tarball, work)));
    const problems = [];
    for (const one of all) {
      const found = [
        ...manifestProblems(one, root),
        ...filesProblems(one),
        ...dependencyProblems(one, all),
        ...(await publintProblems(one)),
        ...(await typesProblems(one)),
        ...(isPlatform(one) ? platformProblems(one) : []),
      ];
      problems.push(...found.map((problem) => `${one.manifest.name} ${problem}`));
    }
    const round = circle(all);
    if (round) problems.push(`packages depend on each other: ${round.join(' → ')}`);
    return { problems, packages: round ? all : publishingOrder(all) };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
