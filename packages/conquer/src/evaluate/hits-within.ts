import type { Hits } from './metric.js';

/** How many images were found among the first k. */
export function hitsWithin(ranks: Hits['ranks'], k: number): number {
  let count = 0;
  while (count < ranks.length && ranks[count]! <= k) count++;
  return count;
}

/** Σ over the hits among the first k of the precision there. */
export function precisionsWithin(ranks: Hits['ranks'], k: number): number {
  let sum = 0;
  for (let hit = 1; hit <= ranks.length && ranks[hit - 1]! <= k; hit++) sum += hit / ranks[hit - 1]!;
  return sum;
}
