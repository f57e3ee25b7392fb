// What is built of the sources: the addons, the packages' JavaScript, the text of --help, the JSON Schema of experiments and
// the dashboard's page; of each only what changed. Tests bring it up to date before they begin: those that start the program
// run what is in src.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { buildBundle } from './build-bundle.mjs';
import { buildNative } from './build-native.mjs';
import { buildPage } from './build-page.mjs';
import { comparedEnvironment } from './compared-libtorchs.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const CONQUER = join(ROOT, 'packages/conquer');
const BUNDLE = join(CONQUER, 'dist/bundle/index.js');
const HELP = join(CONQUER, 'dist/cli/help.txt');
const SCHEMA = join(CONQUER, 'experiment.schema.json');

/** Milliseconds since 1970; 0 where there is nothing. */
const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** tsc -b of conquer, whose references are the others, and of browser, which is by itself. @throws Error with the compiler's words */
export async function buildTypeScript() {
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  try {
    await promisify(execFile)(tsc, ['-b', 'packages/conquer', 'packages/browser'], { cwd: ROOT });
  } catch (error) {
    throw new Error(`the TypeScript build failed:\n${error.stdout || error.message}`);
  }
}

/**
 * What was compiled of sources that are gone: tsc leaves it, and an import of it would go on working. Source maps were written
 * once, and no longer are: nothing read them, and packages would need the sources too.
 */
export function removeStale(folder) {
  const files = (path) => (existsSync(path) ? readdirSync(path, { recursive: true }) : []);
  const sources = new Set(files(join(folder, 'src')).map((file) => file.replace(/\.ts$/, '')));
  for (const file of files(join(folder, 'dist'))) {
    const [, module] = /^(?!bundle|page)(.*?)(?:\.js|\.d\.ts)(?:\.map)?$/.exec(file) ?? [];
    if (module !== undefined && (!sources.has(module) || file.endsWith('.map')))
      rmSync(join(folder, 'dist', file));
  }
}

/** Whether a file that is written by compiled code is younger than that. */
function isFresh(file) {
  const packages = readdirSync(join(ROOT, 'packages'));
  const compiled = packages.map((name) => changed(join(ROOT, 'packages', name, 'dist/.tsbuildinfo')));
  return changed(file) > Math.max(...compiled, changed(join(CONQUER, 'recipes')));
}

/** Writes down what `conquer --help` prints: to make it anew takes three times as long as to start Node and read it. */
export function buildHelp() {
  if (isFresh(HELP)) return;
  // `conquer help` always makes it.
  writeFileSync(HELP, execFileSync(process.execPath, [join(CONQUER, 'bin/conquer.js'), 'help']));
}

/** Writes the JSON Schema of experiments, where "$schema" of the recipes finds it. */
export function buildSchema() {
  if (isFresh(SCHEMA)) return;
  const url = pathToFileURL(join(CONQUER, 'dist/experiment/recipe-schema.js'));
  const program = `console.log(JSON.stringify((await import('${url}')).recipeSchema(), null, 2))`;
  writeFileSync(SCHEMA, execFileSync(process.execPath, ['--input-type=module', '-e', program]));
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** One process at a time does what goes by this name: others wait. */
export async function alone(name, work) {
  const lock = join(ROOT, `node_modules/.conquer-${name}`);
  mkdirSync(dirname(lock), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      // Just taken, and not yet written; or left behind by one that was killed.
      if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true });
      else await pause(100);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/**
 * @param {(line: string) => void} say
 * @param {import('../packages/native/builder/find-libtorch.mjs').Libtorch} [libtorch] the one to take from now on; default:
 *   what the environment names, or what was chosen before
 */
export async function build(say = console.log, libtorch = undefined) {
  await alone('build', async () => {
    await buildNative(say, libtorch);
    await buildTypeScript();
    for (const name of readdirSync(join(ROOT, 'packages'))) removeStale(join(ROOT, 'packages', name));
    if (!isFresh(BUNDLE)) await buildBundle();
    buildHelp();
    buildSchema();
    await buildPage(say);
  });
}

/**
 * For vitest (globalSetup), also each time that a watched file changed. What tests start inherits LIBTORCH: they run on the
 * libtorch whose PyTorch is here to compare with, whichever was chosen for use.
 */
export async function setup(project) {
  Object.assign(process.env, comparedEnvironment());
  const quiet = (line) => /up to date/.test(line) || console.log(line);
  await build(quiet);
  project.onTestsRerun(() => build(quiet));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
