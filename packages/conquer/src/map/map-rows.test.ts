import { numThreads, setNumThreads, tensor } from '@conquer-dml/torch';
import { afterEach, describe, expect, it } from 'vitest';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { Random } from '../random.js';
import { mapRows } from './map-rows.js';

const DIM = 8;
const threads = numThreads();
afterEach(() => setNumThreads(threads));

/** Rows around `classes` places; row i is of class i % classes. */
function rowsAround(classes: number, count: number) {
  const random = new Random(3);
  const centres = Float32Array.from({ length: classes * DIM }, () => random.normal());
  const numbers = Float32Array.from({ length: count * DIM }, (_, i) => {
    const [row, d] = [Math.floor(i / DIM), i % DIM];
    return centres[(row % classes) * DIM + d]! + 0.2 * random.normal();
  });
  return tensor(numbers, { shape: [count, DIM] });
}

describe('mapRows', () => {
  it('keeps classes together, the same with any number of threads, between -1 and 1', async () => {
    const [classes, count] = [6, 300];
    using rows = rowsAround(classes, count);
    const shares: number[] = [];
    const { x, y } = await mapRows(rows, { onProgress: ({ done, total }) => shares.push(done / total) });
    using points = tensor(
      Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 ? y : x)[i >> 1]!),
      {
        shape: [count, 2],
      },
    );
    const { indices } = nearestNeighbours(points, null, 1);
    const same = indices.filter((other, row) => other % classes === row % classes).length;
    expect(same / count).toBeGreaterThan(0.97);
    expect(Math.max(...x, ...y)).toBeCloseTo(1, 5);
    expect(Math.min(...x, ...y)).toBeCloseTo(-1, 5);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
    setNumThreads(1);
    expect(await mapRows(rows)).toEqual({ x, y });
    // Neighbours that are known, more of them than it looks at, are those that it finds.
    expect(await mapRows(rows, { neighbours: nearestNeighbours(rows, null, 20) })).toEqual({ x, y });
  });

  it('takes any number of rows, rows of one number, and rows that are all the same', async () => {
    for (const count of [1, 2, 3, 4, 20])
      for (const dim of [1, DIM]) {
        using rows = tensor(new Float32Array(count * dim).fill(0.5), { shape: [count, dim] });
        const { x, y } = await mapRows(rows);
        expect([x.length, y.length]).toEqual([count, count]);
        for (const value of [...x, ...y]) expect(Math.abs(value)).toBeLessThanOrEqual(1.00001);
      }
  });

  it('refuses what is not finite, and ends when it is told to', async () => {
    using rows = tensor([1, 2, 3, Number.NaN], { shape: [2, 2] });
    await expect(mapRows(rows)).rejects.toThrow('a map: expected finite numbers, got NaN or infinity');
    using others = rowsAround(3, 60);
    const stop = { aborted: false };
    const onProgress = ({ done, total }: { done: number; total: number }) => {
      stop.aborted = done > 0.6 * total;
    };
    await expect(mapRows(others, { stop, onProgress })).rejects.toThrow('stopped within');
  });
});
