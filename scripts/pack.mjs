// npm run pack: all packages as they are published, as tarballs in build/tarballs (which git ignores).
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from './build.mjs';
import { publishedPackages, stage } from './packing/stage.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const run = promisify(execFile);

/**
 * @typedef {object} Tarball
 * @property {string} name of the package
 * @property {string} version
 * @property {string} path
 * @property {number} size in bytes
 * @property {number} unpackedSize in bytes
 * @property {string[]} files in it
 */

/** @returns {Promise<Tarball[]>} of packages that lie in these folders */
async function npmPack(folders, into) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', into, ...folders];
  const { stdout } = await run('npm', args, { cwd: ROOT, maxBuffer: 1 << 26 });
  const packed = JSON.parse(stdout);
  // An array up to npm 11, an object by names from 12 on.
  return Object.values(packed).map(({ name, version, filename, size, unpackedSize, files }) => ({
    name,
    version,
    path: join(into, filename),
    size,
    unpackedSize,
    files: files.map(({ path }) => path),
  }));
}

/**
 * @param {(line: string) => void} say
 * @returns {Promise<Tarball[]>} each after those that it depends on
 */
export async function pack(say = console.log) {
  await build(say);
  const tarballs = join(ROOT, 'build/tarballs');
  rmSync(tarballs, { recursive: true, force: true });
  mkdirSync(tarballs, { recursive: true });
  const platforms = [];
  const into = join(ROOT, 'build/staged');
  const folders = publishedPackages(ROOT).map((found) => stage(ROOT, found, into, platforms));
  return await npmPack(folders, tarballs);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tarballs = await pack();
  for (const { name, version, size, unpackedSize, files } of tarballs) {
    const [packed, unpacked] = [size, unpackedSize].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
    console.log(`${name}@${version}: ${packed}, unpacked ${unpacked}, ${files.length} files`);
  }
  console.log(`in ${join(ROOT, 'build/tarballs')}`);
}
