import { pairsAmong } from '../image-pairs.js';
import type { Split } from './dataset.js';

/** A split of some of its images, and of the pairs among them; its classes keep their numbers, those without images too. */
export function splitAt(split: Split, places: readonly number[]): Split {
  const { labelSets, cameras, pairs } = split;
  return {
    ...split,
    paths: places.map((place) => split.paths[place]!),
    labels: Int32Array.from(places, (place) => split.labels[place]!),
    ...(labelSets && { labelSets: places.map((place) => labelSets[place]!) }),
    ...(cameras && { cameras: Int32Array.from(places, (place) => cameras[place]!) }),
    ...(pairs && { pairs: pairsAmong(pairs, places) }),
  };
}
