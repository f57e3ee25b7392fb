// Builds the bindings of packages/torch and packages/image: for the machine it runs on, against the library that is found
// there, or to be carried elsewhere together with the library.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { choose, chosenFolder, folderOf, writableRoot } from './build-folders.mjs';
import { buildAddon, compiler } from './compile.mjs';
import { findLibjpeg, howToGetLibjpeg } from './find-libjpeg.mjs';
import { findLibtorch, givenLibtorch, howToGetLibtorch, libtorchAt } from './find-libtorch.mjs';
import { imageAddon } from './image-addon.mjs';
import { readMarker } from './marker.mjs';
import { portable } from './portable.mjs';
import { SetupError } from './setup-error.mjs';
import { torchAddon } from './torch-addon.mjs';

const silent = () => {};

function requireLibtorch(found) {
  if (found) return found;
  throw new SetupError(
    `no libtorch on this system: run ${howToGetLibtorch()}, or set LIBTORCH to the folder of one, or LIBTORCH_USE_PYTORCH=1 to link the torch package of python3`,
  );
}

function requireLibjpeg(found) {
  if (found) return found;
  throw new SetupError(
    `no libjpeg-turbo on this system: run ${howToGetLibjpeg()}, or set LIBJPEG to the folder that holds its include/ and lib/`,
  );
}

/** The libtorch of the build that was chosen, if it is still there. @param {string} folder of packages/torch */
export function chosenLibtorch(folder) {
  const chosen = chosenFolder(folder);
  const marker = chosen && readMarker(join(chosen, 'conquer_torch.node'));
  return marker?.libDir ? libtorchAt(marker.libDir) : undefined;
}

/**
 * Builds what is out of date of an addon, in a folder of its library.
 * @param {string} folder of the package
 * @param {boolean} chooses whether it is the one to take from now on
 */
async function buildIn(folder, library, addon, chooses, cxx, say) {
  const root = writableRoot(folder);
  const name = folderOf(library);
  const file = await buildAddon(addon, join(root, name), cxx, say);
  if (chooses || chosenFolder(folder) === null) choose(root, name);
  return file;
}

/**
 * @typedef {object} BuildOptions
 * @property {(line: string) => void} [say]
 * @property {boolean} [anew] looks for the library as if none had been built against before, and takes what is built from now on;
 *   otherwise the one that was chosen is brought up to date, or, where LIBTORCH or LIBTORCH_USE_PYTORCH names one, that one
 * @property {import('./find-libtorch.mjs').Libtorch} [libtorch] the one to build against and to take from now on, without a search
 */

/**
 * The binding to libtorch, in packages/torch.
 * @param {string} folder of that package @param {BuildOptions} [options] @returns {Promise<string>} the file
 */
export async function buildTorch(folder, { say = silent, anew = false, libtorch: wanted } = {}) {
  const cxx = compiler();
  const kept = anew ? undefined : (givenLibtorch() ?? chosenLibtorch(folder));
  const libtorch = requireLibtorch(wanted ?? kept ?? findLibtorch());
  const chooses = anew || wanted !== undefined;
  return buildIn(folder, libtorch, torchAddon(folder, libtorch, cxx), chooses, cxx, say);
}

/** The image decoder, in packages/image. @param {string} folder of that package @param {BuildOptions} [options] */
export async function buildImage(folder, { say = silent } = {}) {
  const cxx = compiler();
  const libjpeg = requireLibjpeg(findLibjpeg());
  return buildIn(folder, libjpeg, imageAddon(folder, libjpeg), true, cxx, say);
}

/**
 * Builds both bindings to be carried to other machines: they look for their libraries (libtorch_cpu, libc10, libjpeg) in the
 * folder "lib" beside them, are stripped, and ask for as old a glibc and libstdc++ as they can.
 *
 * @param {object} options
 * @param {string} options.torch folder of packages/torch
 * @param {string} options.image folder of packages/image
 * @param {string} options.folder where conquer_torch.node and conquer_image.node are put
 * @param {string} [options.libtorch] folder with include/ and lib/; default: what is found here
 * @param {(line: string) => void} [options.say]
 * @returns {Promise<{ libtorch: import('./find-libtorch.mjs').Libtorch, libjpeg: import('./find-libjpeg.mjs').Libjpeg }>}
 *   what they were built against: the files of these very libraries have to go into "lib"
 */
export async function buildPortable({ torch, image, folder, libtorch: root, say = silent }) {
  const cxx = compiler();
  const libtorch = requireLibtorch(root ? givenLibtorch({ LIBTORCH: root }) : findLibtorch());
  const libjpeg = requireLibjpeg(findLibjpeg());
  const addons = [
    [torch, libtorch, portable(torchAddon(torch, libtorch, cxx))],
    [image, libjpeg, portable(imageAddon(image, libjpeg))],
  ];
  mkdirSync(folder, { recursive: true });
  for (const [source, library, addon] of addons) {
    const objects = join(writableRoot(source), `portable-${folderOf(library)}`);
    const file = await buildAddon(addon, objects, cxx, say);
    copyFileSync(file, join(folder, `${addon.name}.node`));
  }
  return { libtorch, libjpeg };
}

/**
 * Builds both bindings under AddressSanitizer, beside the usual ones: for the tests that look for memory errors in them.
 * @param {{ torch: string, image: string, say?: (line: string) => void }} options folders of the packages
 * @returns {Promise<{ torch: string, image: string, runtime: string }>} the addons, and what to preload into Node
 */
export async function buildWithSanitizer({ torch, image, say = silent }) {
  const cxx = compiler();
  const runtime = execFileSync(cxx.name, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  if (!runtime.includes('/')) throw new SetupError(`${cxx.name} has no AddressSanitizer`);
  const build = (folder, addon) => {
    const flags = [...addon.flags, '-fsanitize=address', '-fno-omit-frame-pointer', '-g1', '-O1'];
    const link = [...addon.link, '-fsanitize=address'];
    return buildAddon({ ...addon, flags, link }, join(folder, 'build/asan'), cxx, say);
  };
  const libtorch = requireLibtorch(givenLibtorch() ?? chosenLibtorch(torch) ?? findLibtorch());
  return {
    runtime,
    torch: await build(torch, torchAddon(torch, libtorch, cxx)),
    image: await build(image, imageAddon(image, requireLibjpeg(findLibjpeg()))),
  };
}
