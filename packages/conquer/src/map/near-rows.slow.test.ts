import { randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { nearRows } from './near-rows.js';

const [COUNT, DIM, K] = [14_000, 16, 14];

/** The share of the nearest of some rows that was found. */
function found(rows: ReturnType<typeof randn>, near: Awaited<ReturnType<typeof nearRows>>): number {
  const asked = Int32Array.from({ length: 200 }, (_, i) => i * 70);
  const exact = scope(() => {
    const queries = rows.indexSelect(0, tensor(asked, { dtype: 'int64' }));
    return nearestNeighbours(queries, rows, K + 1);
  });
  let hits = 0;
  for (const [i, row] of asked.entries()) {
    const own = near.indices.subarray(row * K, (row + 1) * K);
    for (const other of exact.indices.subarray(i * (K + 1), (i + 1) * (K + 1)))
      hits += Number(other !== row && own.includes(other));
  }
  return hits / (asked.length * K);
}

it('finds nearly all of the nearest of more rows than are compared with each other', async () => {
  using centres = randn([300, DIM]);
  using rows = scope(() => {
    const which = Int32Array.from({ length: COUNT }, (_, i) => i % 300);
    return centres
      .indexSelect(0, tensor(which, { dtype: 'int64' }))
      .add(randn([COUNT, DIM]).mul(0.5))
      .keep();
  });
  const near = await nearRows(rows, K);
  expect(near.indices).toHaveLength(COUNT * K);
  expect(found(rows, near)).toBeGreaterThan(0.95);
  for (let row = 0; row < COUNT; row += 100) {
    const distances = [...near.distances.subarray(row * K, (row + 1) * K)];
    expect(distances).toEqual(distances.toSorted((a, b) => a - b));
  }
  // Without any kinds, which is the hardest.
  using noise = randn([COUNT, DIM]);
  expect(found(noise, await nearRows(noise, K))).toBeGreaterThan(0.7);
});

it('takes rows of which all, or nearly all, are the same', async () => {
  using same = tensor(new Float32Array(COUNT * DIM).fill(0.25), { shape: [COUNT, DIM] });
  const near = await nearRows(same, K);
  expect(near.indices.every((other) => other >= 0 && other < COUNT)).toBe(true);
  expect(near.distances.every((distance) => distance < 1e-3)).toBe(true);
});
