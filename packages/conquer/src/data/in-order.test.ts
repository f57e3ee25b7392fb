import { describe, expect, it } from 'vitest';
import { InOrderBatches } from './in-order.js';

describe('InOrderBatches', () => {
  it('covers all positions in order, the last batch smaller', () => {
    const batches = new InOrderBatches(7, 3);
    expect(batches.length).toBe(3);
    expect([...batches].map((batch) => [...batch])).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect([...batches]).toHaveLength(3);
    expect([...new InOrderBatches(0, 3)]).toEqual([]);
  });
});
