import {
  type Absent,
  builtFor,
  type FoundLibtorch,
  findAbsent,
  findLibtorchs,
  findPairs,
  type Pair,
} from '@conquer-dml/native/find-binding';
import { packageFolder } from './binding.js';

/**
 * The bindings that are there, each with the libtorch it was built against, in the order in which they are taken; the
 * libtorchs of this machine, with whether one was built against it; and what was looked for and is not there.
 *
 * @throws SetupError where LIBTORCH or LIBTORCH_USE_PYTORCH leads nowhere
 */
export function findBindings(): {
  bindings: Pair[];
  libtorchs: (FoundLibtorch & { built: boolean })[];
  absent: Absent[];
} {
  const libtorchs = findLibtorchs().map((found) => {
    const { origin, root, version, libDir, cuda } = found;
    const built = builtFor('torch', packageFolder, found) !== undefined;
    return { origin, root, version, libDir, cuda, built };
  });
  return {
    bindings: findPairs('torch', packageFolder),
    libtorchs,
    absent: findAbsent('torch', packageFolder),
  };
}

/**
 * Builds the binding against the libtorch that LIBTORCH or LIBTORCH_USE_PYTORCH names, else a Python's of 2.x without CUDA, else
 * the system's; that is the one taken from then on. It needs a C++ compiler.
 *
 * @returns its file
 * @throws SetupError where something is missing, or does not compile
 */
export async function buildBinding(options: { say?: (line: string) => void } = {}): Promise<string> {
  const { buildTorch } = await import('@conquer-dml/native/build');
  return buildTorch(packageFolder, { ...options, anew: true });
}
