import type { Random } from '../random.js';

/** Ranges of an affine map; by default there is none, and images are only resized. */
export interface AffineRanges {
  /** Largest rotation to either side, in degrees; default 0. */
  rotation?: number | undefined;
  /** Range of the zoom, drawn log-uniformly; 2 shows everything twice as large. Default 1 to 1. */
  scale?: readonly [number, number] | undefined;
  /** Stretches x by e^u and y by e^-u, u uniform up to this to either side; default 0. */
  stretch?: number | undefined;
  /** Largest shear to either side, as a share of the height; default 0. */
  shear?: number | undefined;
  /** Largest shift to either side along each axis, as a share of the side; default 0. */
  shift?: number | undefined;
  /** Probability of mirroring left to right; default 0. */
  flip?: number | undefined;
}

/** @throws RangeError for a range of scales that is not positive, or upside down */
export function checkAffine(what: string, { scale: [least, most] = [1, 1] }: AffineRanges): void {
  if (least > 0 && most >= least) return;
  throw new RangeError(`${what}: expected a range of positive scales, got ${least} to ${most}`);
}

/**
 * A row-major 2×3 matrix from a point (x, y) of the output to the point of the input to read, both in [-1, 1]². Draws
 * seven numbers, whatever the ranges.
 */
export function drawAffine(ranges: AffineRanges, random: Random): number[] {
  const { rotation = 0, scale = [1, 1], stretch = 0, shear = 0, shift = 0, flip = 0 } = ranges;
  const around = (most: number) => random.uniform(-most, most);
  const angle = (around(rotation) * Math.PI) / 180;
  const zoom = Math.exp(random.uniform(Math.log(scale[0]), Math.log(scale[1])));
  const ratio = Math.exp(around(stretch));
  const slant = around(shear);
  // The side is 2 in these coordinates.
  const [shiftX, shiftY] = [2 * around(shift), 2 * around(shift)];
  const mirror = random.next() < flip ? -1 : 1;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [x, y] = [1 / (zoom * ratio), ratio / zoom];
  return [
    mirror * cos * x,
    (slant * cos - sin) * y,
    shiftX,
    mirror * sin * x,
    (slant * sin + cos) * y,
    shiftY,
  ];
}
