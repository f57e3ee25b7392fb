// Which libtorch the set-up of a checkout builds against: of 2.x, as users have it, where one is given or can be had, and
// Debian's 1.13 otherwise. What is there already is taken without asking pip.
import { existsSync } from 'node:fs';
import { chosenLibtorch } from '../packages/native/builder/build.mjs';
import {
  givenLibtorch,
  isTakenUnasked,
  libtorchIn,
  pythonLibtorch,
  systemLibtorch,
} from '../packages/native/builder/find-libtorch.mjs';
import { SetupError } from '../packages/native/builder/setup-error.mjs';
import { fetchedLibtorch, fetchLibtorch } from './packing/fetch-libtorch.mjs';

/** What LIBTORCH names to have Debian's, which the set-up installs where it is missing. */
const DEBIANS = '/usr';

/** The only platform of which it is known what of the wheel is needed; see docs/publishing.md. */
const FETCHED_FOR = 'linux-x64';

/**
 * @typedef {object} Choice
 * @property {import('../packages/native/builder/find-libtorch.mjs').Libtorch | undefined} libtorch undefined: the system's, once
 *   it is installed
 * @property {string} why in a few words
 */

/** @returns {Promise<Choice>} PyTorch's CPU build, or the system's and why not that */
async function fetchedOrSystems(mayFetch, say) {
  const fetched = fetchedLibtorch();
  const because = "PyTorch's own for the processor, fetched by pip: what npm installs has it too";
  if (existsSync(fetched)) return { libtorch: libtorchIn(fetched, 'fetched'), why: because };
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== FETCHED_FOR)
    return {
      libtorch: systemLibtorch(),
      why: `the system's: PyTorch's own is fetched for ${FETCHED_FOR} alone`,
    };
  if (!mayFetch)
    return { libtorch: systemLibtorch(), why: "the system's, which has its PyTorch to compare with" };
  try {
    return { libtorch: libtorchIn(await fetchLibtorch(say), 'fetched'), why: because };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { libtorch: systemLibtorch(), why: `the system's: ${error.message}` };
  }
}

/**
 * In this order: what LIBTORCH or LIBTORCH_USE_PYTORCH names, a Python's of 2.x without CUDA, what was chosen before,
 * PyTorch's CPU build, the system's.
 *
 * @param {string} folder of packages/torch
 * @param {object} [options]
 * @param {boolean} [options.mayFetch] PyTorch's CPU build, 200 MB; otherwise it is taken where it is there already
 * @param {(line: string) => void} [options.say]
 * @returns {Promise<Choice>}
 */
export async function chooseLibtorch(folder, { mayFetch = true, say = () => {} } = {}) {
  if (process.env.LIBTORCH === DEBIANS) return { libtorch: systemLibtorch(), why: 'as LIBTORCH says' };
  const given = givenLibtorch();
  if (given) return { libtorch: given, why: `as ${given.origin} says` };
  const python = pythonLibtorch();
  if (python && isTakenUnasked(python))
    return { libtorch: python, why: `that of ${process.env.PYTHON || 'python3'}` };
  const before = chosenLibtorch(folder);
  if (before) return { libtorch: before, why: 'as before' };
  return fetchedOrSystems(mayFetch, say);
}
