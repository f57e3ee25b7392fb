// A platform's package: both bindings, and every library they need that no system brings, with their licences.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildPortable } from '../../packages/native/builder/build.mjs';
import { copyClosure } from './closure.mjs';
import { asksFor } from './elf.mjs';
import { fetchLibtorch } from './fetch-libtorch.mjs';
import { copyLicenses } from './licenses.mjs';
import { publishedManifest, readJson } from './stage.mjs';

/** The folder of the platform that this machine can make, or undefined where no package is made for its like. */
export function platformFolder(root) {
  const folder = join(root, 'packages/platform', `${process.platform}-${process.arch}`);
  return existsSync(join(folder, 'package.json')) ? folder : undefined;
}

const filesIn = (path) =>
  statSync(path).isFile()
    ? [path]
    : readdirSync(path, { recursive: true })
        .map((name) => join(path, name))
        .filter((file) => statSync(file).isFile())
        .sort();

/** A hash of all that a platform's package is made of here: as long as it is the same, so is the package. */
export function platformKey(root, folder) {
  const sources = [
    'packages/native',
    'packages/torch/native',
    'packages/image/native',
    'packages/platform/licenses',
    'scripts/packing',
    'LICENSE',
  ];
  const hash = createHash('sha256');
  for (const file of [folder, ...sources.map((path) => join(root, path))].flatMap(filesIn)) {
    if (/\.test\.|check-/.test(basename(file))) continue;
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  const manifest = readJson(join(folder, 'package.json'));
  hash.update(JSON.stringify(publishedManifest(manifest, readJson(join(root, 'package.json')), '', [])));
  const compiler = process.env.CXX || 'c++';
  hash.update(execFileSync(compiler, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }));
  return hash.digest('hex').slice(0, 16);
}

/** @throws Error where NOTICE speaks of other versions than those that go in */
function checkNotice(notice, libtorch, libjpeg, gomp) {
  const header = join(libtorch.includeDirs[0], 'oneapi/dnnl/dnnl_version.h');
  const text = readFileSync(header, 'utf8');
  const onednn = ['MAJOR', 'MINOR', 'PATCH'].map(
    (part) => text.match(new RegExp(`DNNL_VERSION_${part}\\s+(\\d+)`))?.[1],
  );
  const gcc = readFileSync(gomp, 'latin1').match(/running gcc ([\d.]+)/)?.[1];
  const wanted = [
    `PyTorch ${libtorch.version}`,
    `oneDNN ${onednn.join('.')}`,
    `libjpeg-turbo ${libjpeg.version}`,
    `gcc ${gcc}`,
  ];
  const words = readFileSync(notice, 'utf8');
  const missing = wanted.filter((name) => !words.includes(name));
  if (missing.length > 0) throw new Error(`${notice}: expected it to name ${missing.join(', ')}`);
}

/** @throws Error where a library would be looked for elsewhere than beside the one that needs it */
function checkRunpaths(addons, libraries) {
  const known = new Set(libraries.map((file) => basename(file)));
  for (const file of [...addons, ...libraries]) {
    const { needed, runpath } = asksFor(file);
    const own = needed.some((name) => known.has(name));
    const expected = addons.includes(file) ? '$ORIGIN/lib' : '$ORIGIN';
    if (own ? runpath.join() !== expected : runpath.length > 0 && runpath.join() !== expected)
      throw new Error(`${basename(file)}: expected ${expected} as its RUNPATH, but it is "${runpath}"`);
  }
}

/**
 * Makes the package of this machine's platform.
 * @param {string} root of the checkout
 * @param {string} folder of platformFolder
 * @param {string} into where it is laid out: only package.json and LICENSE are left to the caller
 */
export async function makePlatform(root, folder, into, say) {
  const wheel = await fetchLibtorch(say);
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const packages = join(root, 'packages');
  const { libtorch, libjpeg } = await buildPortable({
    torch: join(packages, 'torch'),
    image: join(packages, 'image'),
    folder: into,
    libtorch: wheel,
    say,
  });
  const addons = ['conquer_torch.node', 'conquer_image.node'].map((name) => join(into, name));
  const libraries = copyClosure(addons, [libtorch.libDir, libjpeg.libDir], join(into, 'lib'));
  const gomp = libraries.find((file) => basename(file).startsWith('libgomp'));
  checkNotice(join(folder, 'NOTICE'), libtorch, libjpeg, gomp);
  for (const file of libraries.filter((path) => /^lib(torch|c10)/.test(basename(path))))
    execFileSync('strip', ['--strip-all', file]);
  checkRunpaths(addons, libraries);
  copyLicenses({
    wheel: join(wheel, 'licenses'),
    others: join(packages, 'platform/licenses'),
    into: join(into, 'licenses'),
  });
  for (const name of ['README.md', 'NOTICE']) cpSync(join(folder, name), join(into, name));
  return readJson(join(folder, 'package.json'));
}
