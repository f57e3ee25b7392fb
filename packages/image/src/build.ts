import { type Absent, findAbsent, findPairs, type Pair } from '@conquer-dml/native/find-binding';
import { packageFolder } from './binding.js';

/** The image decoders that are there, in the order in which they are taken, and what was looked for and is not there. */
export function findBindings(): { bindings: Pair[]; absent: Absent[] } {
  return { bindings: findPairs('image', packageFolder), absent: findAbsent('image', packageFolder) };
}

/**
 * Builds the image decoder against the system's libjpeg-turbo, or the one in LIBJPEG; it is the one taken from then on. It needs a C++ compiler.
 *
 * @returns its file
 * @throws SetupError where something is missing, or does not compile
 */
export async function buildBinding(options: { say?: (line: string) => void } = {}): Promise<string> {
  const { buildImage } = await import('@conquer-dml/native/build');
  return buildImage(packageFolder, { ...options, anew: true });
}
