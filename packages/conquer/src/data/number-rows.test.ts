import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { numberRows } from './number-rows.js';

it('numbers rows as a map of texts would, in the order in which they first come', () => {
  const random = new Random(1);
  const rows = Int32Array.from({ length: 3 * 2000 }, () => Math.floor(11 * random.next()) - 5);
  const numbers = new Map<string, number>();
  const expected = Array.from({ length: 2000 }, (_, row) => {
    if (row % 7 === 0) return -1;
    const text = rows.subarray(3 * row, 3 * row + 3).join();
    if (!numbers.has(text)) numbers.set(text, numbers.size);
    return numbers.get(text);
  });
  expect([...numberRows(rows, 3, (row) => row % 7 !== 0)]).toEqual(expected);
  expect(numbers.size).toBeGreaterThan(500);
  expect(numberRows(new Int32Array(0), 4, () => true)).toHaveLength(0);
});
