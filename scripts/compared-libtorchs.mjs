// The libtorchs of this machine that have the PyTorch of their own version beside them: what tests and benchmarks run on, as
// they compare with it, and bits belong to a version. What was chosen for use may have none, as the one that was fetched.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chosenLibtorch } from '../packages/native/builder/build.mjs';
import { findLibtorchs } from '../packages/native/builder/find-binding.mjs';
import { givenLibtorch, libtorchOf, multiarch } from '../packages/native/builder/find-libtorch.mjs';
import { pytorchPython } from './pypi-peers.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TORCH = join(ROOT, 'packages/torch');

/** @typedef {import('../packages/native/builder/find-libtorch.mjs').Libtorch} Libtorch */

/** Where Debian's python3-torch is, which belongs to Debian's libtorch. */
const DEBIANS = '/usr/lib/python3/dist-packages/torch';

/** @param {Libtorch} libtorch */
const hasPyTorch = ({ root, libDir }) =>
  existsSync(join(root, '__init__.py')) || (libDir === `/usr/lib/${multiarch()}` && existsSync(DEBIANS));

/**
 * @returns {{ used: Libtorch | undefined, others: Libtorch[] }} the one to run on: what the environment names, else what was
 *   chosen, else another, of those with their PyTorch; and the others with a version of their own each
 */
export function comparedLibtorchs() {
  const given = givenLibtorch();
  const chosen = chosenLibtorch(TORCH);
  const there = [chosen, ...findLibtorchs(), libtorchOf(pytorchPython(ROOT))].filter(Boolean);
  const compared = there.filter(hasPyTorch);
  const used = given ?? compared[0] ?? chosen;
  const others = [];
  for (const found of compared)
    if (![used, ...others].some((one) => one?.version === found.version)) others.push(found);
  return { used, others };
}

/** @returns {{ LIBTORCH?: string }} what makes a program run on the one to compare with, where another was chosen */
export function comparedEnvironment() {
  const { used } = comparedLibtorchs();
  return used === undefined || used.libDir === chosenLibtorch(TORCH)?.libDir ? {} : { LIBTORCH: used.root };
}
