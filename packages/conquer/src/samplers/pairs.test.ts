import { expect, it } from 'vitest';
import type { ImagePairs } from '../image-pairs.js';
import { Random } from '../random.js';
import { PairSampler } from './pairs.js';

/** Pairs of images 0-1, 1-2, …, of which the first so many are the same. */
function chain(same: number, different: number): ImagePairs {
  const count = same + different;
  return {
    first: Int32Array.from({ length: count }, (_, i) => i),
    second: Int32Array.from({ length: count }, (_, i) => i + 1),
    same: Uint8Array.from({ length: count }, (_, i) => Number(i < same)),
  };
}

it('halves each batch between the kinds, and shows every pair at least once', () => {
  const pairs = chain(5, 21);
  const sampler = new PairSampler({ pairs, random: new Random(1), batchSize: 16 });
  const batches = [...sampler];
  expect(sampler.length).toBe(6);
  expect(batches).toHaveLength(6);
  const seen = new Map<number, number>();
  for (const batch of batches) {
    expect(batch).toHaveLength(16);
    const drawn = Array.from({ length: 8 }, (_, i) => batch[2 * i]!);
    for (const [i, image] of drawn.entries()) expect(batch[2 * i + 1]).toBe(image + 1);
    expect(drawn.filter((pair) => pair < 5)).toHaveLength(4);
    for (const pair of drawn) seen.set(pair, (seen.get(pair) ?? 0) + 1);
  }
  expect(seen.size).toBe(26);
  // The last batch of different ones is filled with three that come again.
  expect([...seen].filter(([pair, times]) => pair >= 5 && times > 1)).toHaveLength(3);
});

it('draws of a subset only pairs that are whole in it', () => {
  const pairs = chain(6, 6);
  const indices = Int32Array.of(0, 1, 2, 6, 7, 9);
  const batches = [...new PairSampler({ pairs, indices, random: new Random(1), batchSize: 6 })];
  // Pairs 0-1 and 1-2 are the same, 6-7 is different; one of the same and two different in each batch.
  expect(batches).toHaveLength(2);
  for (const batch of batches) {
    expect([0, 1]).toContain(batch[0]);
    expect([...batch.slice(2)]).toEqual([6, 7, 6, 7]);
  }
  const without = () => new PairSampler({ pairs, indices: Int32Array.of(0, 1), random: new Random(1) });
  expect(without).toThrow(
    /expected pairs of both kinds to sample batches from, got 1 same and 0 different pairs/,
  );
});

it.each([2, 7])('refuses a batch of %i images', (batchSize) => {
  expect(() => new PairSampler({ pairs: chain(2, 2), random: new Random(1), batchSize })).toThrow(
    /two pairs at least/,
  );
});
