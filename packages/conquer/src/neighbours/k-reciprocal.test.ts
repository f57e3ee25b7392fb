import { Generator, liveTensors, randn } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { eachReranked, neighboursNeeded } from './k-reciprocal.js';
import { rankedByDistances, rankedByRows } from './ranked-set.js';

// Against the authors' own numbers it is held by golden/golden.test.ts.

describe('re-ranking by mutual neighbours', () => {
  const [queries, gallery, dim] = [13, 70, 5];
  const count = queries + gallery;
  const rows = randn([count, dim], { generator: new Generator(3), dtype: 'float64' });
  const options = { k1: 9, k2: 4, lambda: 0.4 };
  const places = { queries, gallery: { start: queries, count: gallery } };

  it('is the same from embeddings, block by block, as from a matrix of their distances', () => {
    const x = rows.toNumbers();
    const distances = Float64Array.from({ length: count * count }, (_, at) => {
      const [a, b] = [Math.floor(at / count) * dim, (at % count) * dim];
      return Math.hypot(...Array.from({ length: dim }, (_, d) => x[a + d]! - x[b + d]!));
    });
    const before = liveTensors();
    const [byRows, byMatrix] = [
      rankedByRows(rows, neighboursNeeded(options)),
      rankedByDistances(distances, count, neighboursNeeded(options)),
    ].map((images) => {
      const found: number[] = [];
      eachReranked(images, options, places, ({ distances }) => found.push(...distances));
      return found;
    });
    expect(liveTensors()).toBe(before);
    expect(byRows).toHaveLength(queries * gallery);
    for (const [i, value] of byMatrix!.entries()) expect(byRows![i]).toBeCloseTo(value, 10);
  });

  it('is the plain distance where its share is 1, and takes as many neighbours as there are', () => {
    const images = rankedByRows(rows, 1000);
    expect(images.width).toBe(count);
    eachReranked(images, { k1: 500, k2: 500, lambda: 1 }, places, (block) => {
      const plain = images.squaresOf({ start: block.start, count: block.count }, places.gallery);
      for (const [i, value] of plain.entries()) expect(block.distances[i]).toBeCloseTo(value, 12);
    });
  });

  it('refuses options that are none', () => {
    const images = rankedByRows(rows, 3);
    const wrong = (given: object) => () => eachReranked(images, { ...options, ...given }, places, () => {});
    expect(wrong({ k1: 0 })).toThrow(/expected a whole number of at least 1 for k1, got 0/);
    expect(wrong({ lambda: 2 })).toThrow(/expected a share of 0 to 1 for lambda, got 2/);
  });
});
