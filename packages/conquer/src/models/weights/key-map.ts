import type { Tensor } from '@conquer-dml/torch';

/** How another program's files of weights hold a network: by which names, and in which shapes. */
export interface KeyMap {
  /** The network's own name of what a file calls `stored`; any other text where the file's name is none of its. */
  ownName(stored: string): string;
  /** A tensor of a file as the network has it; as it is when left out. A new tensor belongs to the caller's scope. */
  shaped?(ownName: string, stored: Tensor): Tensor;
}

/** Files that have the network's own names and shapes. */
export const ownNames: KeyMap = { ownName: (stored) => stored };

/**
 * What a name in a file stands for by the first map that knows it.
 *
 * @param own the network's names
 * @returns null for what is none of the network's
 */
export function namedBy(
  maps: readonly KeyMap[],
  own: ReadonlySet<string>,
  stored: string,
): { ownName: string; map: KeyMap } | null {
  for (const map of maps) {
    const ownName = map.ownName(stored);
    if (own.has(ownName)) return { ownName, map };
  }
  return null;
}
