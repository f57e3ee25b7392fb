import { describe, expect, it } from 'vitest';
import { full, randn, tensor, zeros } from './creation.js';
import { QuantizedRows, quantizedBits } from './quantized-rows.js';
import { Generator } from './random.js';
import { countNearer, limitTargets, type RankTargets, sortTargets } from './rank-counts.js';
import type { Tensor } from './tensor.js';

describe.runIf(quantizedBits() !== 0)('rank counts', () => {
  const DIMENSIONS = 5;
  const bits = quantizedBits() === 8 ? ([8, 16] as const) : ([16] as const);
  const generator = new Generator(3);
  const rows = (count: number) => randn([count, DIMENSIONS], { generator });
  const packed = (x: Tensor, of: 8 | 16) => {
    const packedRows = new QuantizedRows(x.size(0), DIMENSIONS, of);
    packedRows.fill(x, x.square().sum(1), 0, 0);
    return packedRows;
  };
  /** Each query's one target is a row of its own place in the gallery. */
  const targetsOf = (queries: Tensor, gallery: Tensor): RankTargets => {
    const count = queries.size(0);
    const starts = tensor(Int32Array.from({ length: count + 1 }, (_, i) => i));
    const places = tensor(Int32Array.from({ length: count }, (_, i) => (i + 7) % gallery.size(0)));
    const squares = sortTargets(queries, gallery, { starts, places });
    const kept = tensor(new Int32Array(count).fill(1));
    const near = squares.to({ dtype: 'float32' });
    const counts = zeros([2 * count], { dtype: 'int32' });
    const [lows, highs] = [near.mul(1 - 1e-4), near.mul(1 + 1e-4)];
    return { starts, places, squares, lows, highs, kept, limits: full([count], Infinity), counts };
  };
  /** How many rows come before each query's target, or are it. */
  const expected = (queries: Tensor, gallery: Tensor, same: boolean) => {
    const [a, b] = [queries, gallery].map((x) => x.tolist() as number[][]);
    const square = (i: number, j: number) =>
      a![i]!.reduce((sum, value, d) => sum + (value - b![j]![d]!) ** 2, 0);
    return a!.map((_, i) => {
      const target = (i + 7) % b!.length;
      const others = b!.map((_, j) => j).filter((j) => !(same && j === i));
      return others.filter((j) => j === target || square(i, j) < square(i, target)).length;
    });
  };

  it.each(bits.flatMap((of) => [true, false].map((same) => ({ of, same }))))(
    'are of rows alone, whatever is said of what lies beyond them ($of bits, the gallery itself: $same)',
    ({ of, same }) => {
      const queries = rows(37);
      const gallery = same ? queries : rows(45);
      for (const beyond of [Infinity, 0, -Infinity, Number.NaN]) {
        using quantizedQueries = packed(queries, of);
        using others = same ? null : packed(gallery, of);
        const quantizedGallery = others ?? quantizedQueries;
        for (const { facts, count } of beyond === null ? [] : [quantizedQueries, quantizedGallery])
          facts.narrow(1, count, facts.size(1) - count).fill_(beyond);
        const targets = targetsOf(queries, gallery);
        const block = { firstRow: 0, rowCount: 37, firstColumn: 0, columnCount: gallery.size(0) };
        countNearer({ queries, gallery, quantizedQueries, quantizedGallery, same }, targets, block);
        const before = targets.counts.toNumbers().filter((_, i) => i % 2 === 0);
        expect([...before]).toEqual(expected(queries, gallery, same));
        // Of a sample the same: a rank that only rows that are not there could reach is beyond it.
        limitTargets(quantizedQueries, quantizedGallery, { rank: gallery.size(0), size: 45 }, targets);
        expect(targets.limits.toNumbers()).toEqual(targets.highs.toNumbers());
      }
    },
  );

  it('are not written over what says where they are', () => {
    const x = rows(37);
    using quantizedRows = packed(x, 16);
    const targets = targetsOf(x, x);
    const block = { firstRow: 0, rowCount: 37, firstColumn: 0, columnCount: 37 };
    const of = { queries: x, gallery: x, quantizedQueries: quantizedRows, quantizedGallery: quantizedRows };
    const counts = zeros([74 + 38], { dtype: 'int32' });
    const starts = counts.narrow(0, 74, 38).copy_(targets.starts);
    expect(() =>
      countNearer({ ...of, same: true }, { ...targets, starts, counts: counts.narrow(0, 0, 74) }, block),
    ).toThrow(/memory of their own/);
  });
});
