import type { Random } from '../random.js';

/** How many groups of up to `count` images the images of a class make, each in one at least. */
export const numGroups = (images: Int32Array, count: number): number => Math.ceil(images.length / count);

/**
 * The images of a class in random groups, each image in one at least: `count` different ones in each, or all where the
 * class has fewer. What the last one is short of comes from the others.
 */
export function groupsOf(images: Int32Array, count: number, random: Random): Int32Array[] {
  const shuffled = random.shuffle(images.slice());
  return Array.from({ length: numGroups(images, count) }, (_, group) => {
    const end = Math.min((group + 1) * count, shuffled.length);
    return shuffled.subarray(Math.max(0, end - count), end);
  });
}
