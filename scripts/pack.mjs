// npm run pack: all packages as they are published, as tarballs in build/tarballs (which git ignores).
//   npm run pack                         with the package of this machine's platform: minutes the first time, then kept
//   npm run pack -- --without-platform   the packages of JavaScript alone
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SetupError } from '../packages/native/builder/setup-error.mjs';
import { alone, build } from './build.mjs';
import { cacheFolder } from './packing/fetch-libtorch.mjs';
import { makePlatform, platformFolder, platformKey } from './packing/platform.mjs';
import { finishStage, publishedPackages, readJson, stage } from './packing/stage.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TARBALLS = join(ROOT, 'build/tarballs');
const STAGED = join(ROOT, 'build/staged');
const run = promisify(execFile);

/** How many of a platform's tarballs are kept, those asked for last. */
const KEPT = 3;

/** Packs what lies in these folders. @returns {Promise<string[]>} the tarballs */
async function npmPack(folders, into) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', into, ...folders];
  const { stdout } = await run('npm', args, { cwd: ROOT, maxBuffer: 1 << 26 });
  // An array up to npm 11, an object by names from 12 on.
  return Object.values(JSON.parse(stdout)).map(({ filename }) => join(into, filename));
}

/** The tarball of this machine's platform: 350 MB of libraries take a minute to pack, so that it is kept by what it is made of. */
async function platformTarball(folder, manifest, say) {
  const kept = join(cacheFolder(), 'platform-packages');
  mkdirSync(kept, { recursive: true });
  const file = join(kept, `${process.platform}-${process.arch}-${platformKey(ROOT, folder)}.tgz`);
  if (!existsSync(file)) {
    say(`${manifest.name}: making it`);
    const staged = join(STAGED, `${process.platform}-${process.arch}`);
    await makePlatform(ROOT, folder, staged, say);
    finishStage(ROOT, folder, manifest, staged, []);
    const [packed] = await npmPack([staged], STAGED);
    // Whole or not there: others may be packing too.
    copyFileSync(packed, `${file}.${process.pid}`);
    renameSync(`${file}.${process.pid}`, file);
    rmSync(staged, { recursive: true });
  }
  const now = new Date();
  utimesSync(file, now, now);
  const tarballs = readdirSync(kept).filter((name) => name.endsWith('.tgz'));
  const used = (name) => statSync(join(kept, name)).mtimeMs;
  const old = tarballs.sort((a, b) => used(b) - used(a)).slice(KEPT);
  for (const name of old) rmSync(join(kept, name), { force: true });
  return file;
}

async function packAll({ platform, into, say }) {
  for (const folder of [into, STAGED]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  const folder = platform ? platformFolder(ROOT) : undefined;
  const platforms = folder === undefined ? [] : [readJson(join(folder, 'package.json'))];
  const tarballs = [];
  for (const manifest of platforms) {
    const made = await platformTarball(folder, manifest, say);
    const tarball = join(into, `${manifest.name.slice(1).replace('/', '-')}-${manifest.version}.tgz`);
    copyFileSync(made, tarball);
    tarballs.push(tarball);
  }
  const staged = publishedPackages(ROOT).map((found) => stage(ROOT, found, STAGED, platforms));
  tarballs.push(...(await npmPack(staged, into)));
  return tarballs;
}

/**
 * Makes the tarballs of all packages, of what is in the checkout now.
 * @param {object} [options]
 * @param {boolean} [options.platform] with that of this machine's platform, where there is one
 * @param {string} [options.into] the folder for them, which is emptied; default build/tarballs
 * @param {(line: string) => void} [options.say]
 * @returns {Promise<string[]>} their paths
 */
export async function pack({ platform = true, into = TARBALLS, say = console.log } = {}) {
  await build(say);
  return await alone('pack', () => packAll({ platform, into, say }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const tarballs = await pack({ platform: !process.argv.includes('--without-platform') });
    for (const path of tarballs) console.log(`${path}  ${(statSync(path).size / 1e6).toFixed(1)} MB`);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
