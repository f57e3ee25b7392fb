import { Random } from '../random.js';

/** At most so many of some places, ascending, drawn always alike. */
export function drawnPlaces(able: number[], most: number): number[] {
  if (able.length <= most) return able;
  const order = new Random(0).permutation(able.length);
  return Array.from(order.subarray(0, most), (at) => able[at]!).sort((a, b) => a - b);
}
