// The libtorchs of this machine besides the one that is used: the tests of the binding run on each.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chosenLibtorch } from '../packages/native/builder/build.mjs';
import { findLibtorchs } from '../packages/native/builder/find-binding.mjs';
import { givenLibtorch } from '../packages/native/builder/find-libtorch.mjs';

const TORCH = join(dirname(fileURLToPath(import.meta.url)), '../packages/torch');

/** @typedef {import('../packages/native/builder/find-libtorch.mjs').Libtorch} Libtorch */

/** @returns {{ used: Libtorch | undefined, others: Libtorch[] }} the others with a version of their own each */
export function otherLibtorchs() {
  const chosen = chosenLibtorch(TORCH);
  const [used, ...rest] = [givenLibtorch(), chosen, ...findLibtorchs()].filter(
    (found) => found !== undefined,
  );
  const others = [];
  for (const found of rest)
    if (![used, ...others].some(({ version }) => version === found.version)) others.push(found);
  return { used, others };
}
