import { liveTensors, manualSeed, randint, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { nearestNeighbours } from './nearest.js';
import { neighboursByBlocks } from './nearest-by-blocks.js';
import type { NeighbourBlock } from './neighbours.js';
import { spaceOf } from './product-filter.js';

/** Every distance in double precision, sorted by distance and then index. */
function bruteForce(queries: Tensor, gallery: Tensor | null, k: number) {
  const dimensions = queries.size(1);
  const q = queries.toNumbers();
  const g = (gallery ?? queries).toNumbers();
  const size = g.length / dimensions;
  return Array.from({ length: queries.size(0) }, (_, row) =>
    Array.from({ length: size }, (_, position) => {
      let square = 0;
      for (let d = 0; d < dimensions; d++) {
        square += ((q[row * dimensions + d] as number) - (g[position * dimensions + d] as number)) ** 2;
      }
      return { position, square };
    })
      .filter(({ position }) => gallery !== null || position !== row)
      .sort((a, b) => a.square - b.square || a.position - b.position)
      .slice(0, k),
  ).flat();
}

function expectSame(queries: Tensor, gallery: Tensor | null, k: number, blockSize?: number) {
  const found = nearestNeighbours(queries, gallery, k, { blockSize });
  const wanted = bruteForce(queries, gallery, k);
  expect([...found.indices]).toEqual(wanted.map(({ position }) => position));
  const errors = wanted.map(({ square }, i) => Math.abs((found.distances[i] as number) - Math.sqrt(square)));
  expect(errors.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-5);
}

describe('nearestNeighbours', () => {
  it('finds what brute force finds, for any block size', () => {
    manualSeed(1);
    const queries = randn([53, 7]);
    for (const blockSize of [undefined, 1, 10, 53, 1000]) expectSame(queries, null, 9, blockSize);
  });

  it('searches a gallery, in which equal images are found', () => {
    manualSeed(2);
    const gallery = randn([80, 5], { dtype: 'float64' });
    expectSame(randn([31, 5], { dtype: 'float64' }), gallery, 80);
    const itself = nearestNeighbours(gallery, gallery, 1);
    expect([...itself.indices]).toEqual(Array.from({ length: 80 }, (_, i) => i));
    expect(Math.max(...itself.distances)).toBe(0);
  });

  it('orders equally near ones by index, also where they straddle the k-th place', () => {
    manualSeed(3);
    // Points of a small lattice: many duplicates, few different distances, all exact.
    const lattice = randint(0, 2, [300, 4]);
    for (const k of [1, 5, 40, 299]) expectSame(lattice, null, k, 64);
  });

  it('keeps the order of duplicates whose rounded distances differ', () => {
    manualSeed(4);
    const few = randn([5, 67]);
    const repeated = few.repeat([40, 1]);
    const found = nearestNeighbours(repeated, null, 12);
    for (let row = 0; row < 200; row++) {
      const wanted = Array.from({ length: 40 }, (_, i) => 5 * i + (row % 5)).filter((i) => i !== row);
      expect([...found.indices.subarray(row * 12, row * 12 + 12)]).toEqual(wanted.slice(0, 12));
    }
  });

  it('gives for a small k the beginning of what it gives for a large one', () => {
    manualSeed(5);
    const x = randn([2000, 16]).div(50).add(1);
    const few = nearestNeighbours(x, null, 3);
    const many = nearestNeighbours(x, null, 60);
    for (let row = 0; row < 2000; row++) {
      expect(few.indices.subarray(row * 3, row * 3 + 3)).toEqual(
        many.indices.subarray(row * 60, row * 60 + 3),
      );
    }
  });

  it('finds in float32 by blocks what it finds in float64 by rows', () => {
    manualSeed(6);
    const x = randn([5000, 8]);
    const precise = x.to({ dtype: 'float64' });
    // k = 40 begins with guessed thresholds, k = 3 does not; the second way holds distances that are not exact.
    for (const k of [3, 40]) {
      const wanted = nearestNeighbours(precise, null, k);
      for (const order of [undefined, { first: k, cuts: [] }]) {
        const found = nearestNeighbours(x, null, k, { order });
        const equal = found.indices.filter((index, i) => index === wanted.indices[i]).length;
        expect(equal / wanted.indices.length).toBeGreaterThan(0.9999);
        const gaps = wanted.distances.map((distance, i) =>
          Math.abs(distance - (found.distances[i] as number)),
        );
        expect(gaps.reduce((a, b) => Math.max(a, b))).toBeLessThan(order ? 1e-3 : 1e-6);
      }
    }
  });

  it('searches part after part where all candidates would be too many', () => {
    manualSeed(7);
    const x = randn([1000, 5]);
    const search = { queries: x, all: x, space: spaceOf('rows', x, null), own: true };
    const wanted = nearestNeighbours(x, null, 10);
    for (const [rows, bytes] of [[64, 16 * 26 * 300] as const, [50, 16 * 26 * 101] as const]) {
      const found: NeighbourBlock[] = [];
      scope(() =>
        neighboursByBlocks(search, 10, { blockSize: rows, mostBytes: bytes }, (block) => found.push(block)),
      );
      expect(found.length).toBeGreaterThan(1000 / 64);
      expect(found.flatMap(({ indices }) => [...indices])).toEqual([...wanted.indices]);
    }
  });

  it('gives fewer than k where the gallery is smaller, and none in a gallery of only the query', () => {
    const x = tensor([[0], [1], [3]]);
    expect(nearestNeighbours(x, null, 10)).toMatchObject({ k: 2, indices: Int32Array.of(1, 2, 0, 2, 1, 0) });
    expect(nearestNeighbours(tensor([[1]]), null, 1).k).toBe(0);
  });

  it('keeps no tensor', () => {
    const x = randn([50, 4]);
    const before = liveTensors();
    nearestNeighbours(x, null, 3);
    expect(liveTensors()).toBe(before);
  });

  it('refuses what makes no sense', () => {
    expect(() => nearestNeighbours(randn([3, 2]), randn([3, 4]), 1)).toThrow(/shapes \[3,2\] and \[3,4\]/);
    expect(() => nearestNeighbours(randn([3, 2]), null, 0)).toThrow(/positive integer k/);
  });
});
