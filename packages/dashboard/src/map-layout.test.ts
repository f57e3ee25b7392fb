import { describe, expect, it } from 'vitest';
import { layOut } from './map-layout.js';
import { type Nearest, nearestOfAll } from './nearest.js';
import { randomNumbers } from './random-numbers.js';

const DIM = 8;

/** Unit vectors around `classes` directions; the class of point i is i % classes. */
function vectorsAround(classes: number, n: number, noise: number): Float32Array {
  const random = randomNumbers(3);
  const centres = Float32Array.from({ length: classes * DIM }, () => random() - 0.5);
  const vectors = new Float32Array(n * DIM);
  for (let point = 0; point < n; point++) {
    const own = vectors.subarray(point * DIM, (point + 1) * DIM);
    for (let d = 0; d < DIM; d++)
      own[d] = (centres[(point % classes) * DIM + d] as number) + noise * (random() - 0.5);
    const length = Math.hypot(...own);
    for (let d = 0; d < DIM; d++) own[d] = (own[d] as number) / length;
  }
  return vectors;
}

function exact(vectors: Float32Array, point: number, k: number): { index: number; distance: number }[] {
  const all: { index: number; distance: number }[] = [];
  for (let index = 0; index < vectors.length / DIM; index++) {
    let squared = 0;
    for (let d = 0; d < DIM; d++)
      squared += ((vectors[index * DIM + d] as number) - (vectors[point * DIM + d] as number)) ** 2;
    if (index !== point) all.push({ index, distance: Math.sqrt(squared) });
  }
  return all.sort((a, b) => a.distance - b.distance).slice(0, k);
}

function recall(vectors: Float32Array, { indices }: Nearest, k: number): number {
  const n = vectors.length / DIM;
  let hits = 0;
  for (let query = 0; query < 25; query++) {
    const point = Math.floor((query * n) / 25);
    const own = indices.subarray(point * k, (point + 1) * k);
    for (const { index } of exact(vectors, point, k)) hits += Number(own.includes(index));
  }
  return hits / (25 * k);
}

describe('nearestOfAll', () => {
  it('is exact for a few thousand points', () => {
    const vectors = vectorsAround(20, 300, 1);
    const { indices, distances } = nearestOfAll(vectors, DIM, 5);
    for (const point of [0, 123, 299]) {
      const expected = exact(vectors, point, 5);
      expect([...indices.subarray(point * 5, point * 5 + 5)]).toEqual(expected.map(({ index }) => index));
      for (const [rank, { distance }] of expected.entries())
        expect(distances[point * 5 + rank]).toBeCloseTo(distance, 3);
    }
  });

  it('misses few of the neighbours of more', () => {
    const vectors = vectorsAround(100, 4200, 1);
    expect(recall(vectors, nearestOfAll(vectors, DIM, 10), 10)).toBeGreaterThan(0.95);
    // From another space's neighbours: here, without two of the dimensions.
    const other = vectors.map((value, i) => (i % DIM < 2 ? 0 : value));
    const known = { ...nearestOfAll(other, DIM, 10), depth: 10 };
    expect(recall(vectors, nearestOfAll(vectors, DIM, 10, known), 10)).toBeGreaterThan(0.95);
  });

  it('is exact for vectors of length 1 that differ by 1e-5, and takes equal ones by index', () => {
    const random = randomNumbers(5);
    const point = Float64Array.from({ length: DIM }, () => random() - 0.5);
    const vectors = new Float32Array(100 * DIM);
    for (let i = 0; i < 100; i++) {
      const own = point.map((value) => value + 1e-5 * (random() - 0.5));
      vectors.set(
        own.map((value) => value / Math.hypot(...own)),
        i * DIM,
      );
    }
    for (let i = 60; i < 100; i++) vectors.copyWithin(i * DIM, 0, DIM);
    const { indices } = nearestOfAll(vectors, DIM, 50);
    for (let i = 0; i < 100; i++) {
      const expected = exact(vectors, i, 50).map(({ index }) => index);
      expect([...indices.subarray(i * 50, i * 50 + 50)]).toEqual(expected);
    }
  });

  it('takes equal and broken vectors', () => {
    const equal = new Float32Array(10 * DIM).fill(Math.sqrt(1 / DIM));
    expect(nearestOfAll(equal, DIM, 3).distances.every((distance) => distance < 1e-3)).toBe(true);
    const broken = new Float32Array(10 * DIM).fill(Number.NaN);
    expect(nearestOfAll(broken, DIM, 3).indices.every((index) => index >= 0 && index < 10)).toBe(true);
  });
});

describe('layOut', () => {
  const nearestIn2d = (x: Float32Array, y: Float32Array, point: number): number => {
    let [best, index] = [Number.POSITIVE_INFINITY, -1];
    for (let other = 0; other < x.length; other++) {
      const distance = Math.hypot(
        (x[other] as number) - (x[point] as number),
        (y[other] as number) - (y[point] as number),
      );
      if (other !== point && distance < best) [best, index] = [distance, other];
    }
    return index;
  };

  it('keeps classes together, the same way each time, between -1 and 1', () => {
    const vectors = vectorsAround(6, 240, 0.3);
    const shares: number[] = [];
    const { x, y } = layOut({ vectors, dim: DIM, known: null }, (share) => shares.push(share));
    let same = 0;
    for (let point = 0; point < 240; point++) same += Number(nearestIn2d(x, y, point) % 6 === point % 6);
    expect(same / 240).toBeGreaterThan(0.97);
    expect(Math.max(...x, ...y)).toBeCloseTo(1, 5);
    expect(Math.min(...x, ...y)).toBeCloseTo(-1, 5);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(layOut({ vectors, dim: DIM, known: null }, () => {})).toEqual({ x, y });
  });

  it('takes any number of points, and points that are all the same', () => {
    for (const n of [1, 2, 3, 4, 20]) {
      const vectors = new Float32Array(n * DIM).fill(Math.sqrt(1 / DIM));
      const { x, y } = layOut({ vectors, dim: DIM, known: null }, () => {});
      expect([x.length, y.length]).toEqual([n, n]);
      for (const value of [...x, ...y]) expect(Math.abs(value)).toBeLessThanOrEqual(1.00001);
    }
  });
});
