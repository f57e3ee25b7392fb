// Imports flow one way: a package, or a room of conquer, imports only what its line below names, and that stands above it.
// So neither packages nor rooms are a circle. Imports of types count; tests, which compare rooms with each other, may look
// anywhere. `node scripts/import-directions.mjs` (npm run lint) prints what goes against it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PACKAGES = {
  native: '',
  torch: 'native',
  image: 'native',
  run: '',
  dashboard: 'run',
  weights: '',
  browser: '',
  conquer: 'torch image run dashboard weights',
};

/** The folders of packages/conquer/src: packages, and rooms; …: all above. The files beside them are free to all. */
export const ROOMS = {
  neighbours: 'torch run',
  clustering: 'torch run, neighbours',
  map: 'torch run, neighbours clustering',
  models: 'torch run',
  data: 'torch image run',
  datasets: 'image run, data',
  samplers: 'run',
  losses: 'torch run, neighbours',
  miners: 'torch run, neighbours',
  divide: 'torch run, clustering',
  evaluate: 'torch run, neighbours clustering models data',
  optimize: 'torch run, losses models',
  track: 'image run, data',
  experiment: 'torch run, …',
  train: 'torch image run, …',
  golden: 'torch image run, …',
  fit: 'torch image run, evaluate models data datasets divide experiment train',
  retrieve:
    'torch image run, neighbours clustering map models data datasets samplers evaluate experiment train',
  export: 'torch image run, models data evaluate train retrieve',
  serve: 'image run dashboard, evaluate experiment train retrieve',
  audit: 'torch image run, neighbours clustering datasets fit retrieve',
  cli: 'torch image run dashboard, …',
};

/** What stands in a line of a table: the packages and rooms that may be imported. */
export function allowedIn(table, name) {
  const names = Object.keys(table);
  const above = names.slice(0, names.indexOf(name));
  return (table[name] ?? '').split(/[ ,]+/).flatMap((word) => (word === '…' ? above : word || []));
}

for (const table of [PACKAGES, ROOMS])
  for (const [at, name] of Object.keys(table).entries())
    for (const other of allowedIn(table, name))
      if (Object.keys(table).indexOf(other) >= at) throw new Error(`${name}: ${other} has to stand above it`);

/** The specifiers of all imports and exports of a source, those of types and dynamic ones too. */
const specifiers = (source) =>
  [...source.matchAll(/\b(?:from|import)\s*\(?\s*'([^'\n]+)'/g)].map(([, specifier]) => specifier);

const isTest = (file) => /\.test\.\w+$|\/(testing|test)\//.test(file);
/** Of a file of conquer, its room; null beside the rooms; undefined elsewhere. */
const roomOf = (file) => {
  const [, path] = /^packages\/conquer\/src\/(.*)$/.exec(file) ?? [];
  return path?.includes('/') ? path.split('/')[0] : path && null;
};

/**
 * What is wrong with an import.
 * @param file path from the repository's root, with slashes
 * @returns a line; null where it is allowed
 */
export function crossing(file, specifier) {
  const [, home] = /^packages\/([^/]+)\//.exec(file) ?? [];
  if (home === undefined || isTest(file)) return null;
  const room = roomOf(file);
  const [, scope, part] = /^(@conquer-dml|conquer-dml)(?:\/(\w+))?/.exec(specifier) ?? [];
  if (scope !== undefined) {
    const used = scope.startsWith('@') ? part : 'conquer';
    const allowed = room ? allowedIn(ROOMS, room) : allowedIn(PACKAGES, home);
    return allowed.includes(used) ? null : says(file, specifier, room ?? home, allowed);
  }
  if (!specifier.startsWith('.')) return null;
  const path = posix.join(posix.dirname(file), specifier);
  if (!path.startsWith(`packages/${home}/`))
    return `${file}: ${specifier} is in another package: import it by name`;
  const other = roomOf(path);
  if (room === undefined || !other || other === room || file === 'packages/conquer/src/index.ts') return null;
  const allowed = room === null ? [] : allowedIn(ROOMS, room);
  return allowed.includes(other) ? null : says(file, specifier, room ?? 'a file beside the rooms', allowed);
}

const says = (file, specifier, who, allowed) =>
  `${file}: ${specifier}: ${who} imports from ${allowed.join(', ') || 'nowhere else'}`;

/** All imports of the packages' sources that go against the tables, and dependencies that do. */
export function crossings(root) {
  const found = [];
  for (const name of Object.keys(PACKAGES)) {
    const folder = join(root, 'packages', name);
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const [file, others] = [`packages/${name}/package.json`, Object.keys(dependencies)];
    found.push(...others.map((other) => crossing(file, other)));
    const parts = ['src', 'page/src'].filter((part) => existsSync(join(folder, part)));
    for (const part of parts) {
      for (const path of readdirSync(join(folder, part), { recursive: true })) {
        if (!/\.(ts|svelte)$/.test(path)) continue;
        const source = `packages/${name}/${part}/${path.replaceAll('\\', '/')}`;
        const text = readFileSync(join(folder, part, path), 'utf8');
        found.push(...specifiers(text).map((specifier) => crossing(source, specifier)));
      }
    }
  }
  return found.filter((line) => line !== null);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = crossings(resolve(dirname(fileURLToPath(import.meta.url)), '..'));
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
}
