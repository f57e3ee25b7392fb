import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { ranksBy } from './search-means.js';

it('gives the ranks that sorting all images gives, of equally far ones the lower first', () => {
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const count = random.int(30);
    // Few values, so that many are equal.
    const distances = Float64Array.from({ length: count }, () => random.int(6));
    const labels = Int32Array.from({ length: count }, () => random.int(3));
    const leftOut = new Set([...distances.keys()].filter(() => random.int(8) === 0));
    const order = [...distances.keys()].filter((place) => !leftOut.has(place));
    order.sort((a, b) => distances[a]! - distances[b]! || a - b);
    const wanted = order.flatMap((place, rank) => (labels[place] === 1 ? [rank + 1] : []));
    expect([...ranksBy(distances, leftOut, labels, 1)]).toEqual(wanted);
  }
});
