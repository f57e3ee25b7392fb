// Builds the addons of the packages in this checkout. What does it is published with them: packages/native/builder.
//   node scripts/build-native.mjs                         what is out of date of those that are used here
//   node scripts/build-native.mjs --portable FOLDER       both, to be carried elsewhere, against LIBTORCH; see buildPortable
//   node scripts/build-native.mjs --asan                  both under AddressSanitizer, beside the usual ones
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildImage,
  buildPortable,
  buildTorch,
  buildWithSanitizer,
} from '../packages/native/builder/build.mjs';
import { SetupError } from '../packages/native/builder/setup-error.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TORCH = join(ROOT, 'packages/torch');
const IMAGE = join(ROOT, 'packages/image');

/**
 * Builds what is out of date.
 * @param {(line: string) => void} say
 * @param {import('../packages/native/builder/find-libtorch.mjs').Libtorch} [libtorch] see BuildOptions
 */
export async function buildNative(say = console.log, libtorch = undefined) {
  await buildTorch(TORCH, { say, libtorch });
  await buildImage(IMAGE, { say });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , flag, folder] = process.argv;
  try {
    if (flag === '--asan')
      console.log(
        JSON.stringify(await buildWithSanitizer({ torch: TORCH, image: IMAGE, say: console.error })),
      );
    else if (flag === '--portable' && folder)
      await buildPortable({ torch: TORCH, image: IMAGE, folder: resolve(folder), say: console.log });
    else await buildNative();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
