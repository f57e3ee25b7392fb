/**
 * Deals the items of several kinds into rounds, so that no round has two of one kind and all rounds are as large as the
 * others, or one item smaller. As many rounds as `roundsFor` says are enough.
 *
 * @param kinds each with its items, at most one for each round
 */
export function dealApart<T>(kinds: readonly (readonly T[])[], rounds: number): T[][] {
  const dealt: T[][] = Array.from({ length: rounds }, () => []);
  // Those of a kind go to rounds that follow one another, of which it has no more than there are.
  let at = 0;
  for (const items of kinds) for (const item of items) dealt[at++ % rounds]!.push(item);
  return dealt;
}

/** The rounds it takes where each has room for `width` items, none of them of one kind. @param sizes items of each kind */
export function roundsFor(sizes: readonly number[], width: number): number {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  return Math.max(1, Math.ceil(all / width), ...sizes);
}
