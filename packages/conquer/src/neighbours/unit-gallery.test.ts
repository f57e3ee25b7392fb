import {
  cat,
  Generator,
  liveTensors,
  NeighbourCandidates,
  ones,
  randn,
  scope,
  type Tensor,
  tensor,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { nearestNeighbours } from './nearest.js';
import { UnitGallery } from './unit-gallery.js';
import { unitRows } from './unit-rows.js';

const drawn = (count: number, dim: number, seed: number) =>
  unitRows('test', randn([count, dim], { generator: new Generator(seed) }), String);
const at = (rows: Tensor, places: readonly number[]) =>
  rows.indexSelect(0, tensor(Int32Array.from(places), { dtype: 'int64' }));

describe('a gallery of unit rows', () => {
  for (const dim of [1, 5, 16, 63, 65, 130]) {
    it(`finds what is nearest among those that are not hidden: ${dim} numbers a row`, () => {
      const live = liveTensors();
      scope(() => {
        const rows = drawn(3000, dim, 1);
        const hidden = Int32Array.from({ length: 900 }, (_, i) => 3 * i + (i % 2));
        const shown = Array.from({ length: 3000 }, (_, i) => i).filter((i) => !hidden.includes(i));
        using gallery = new UnitGallery(rows, hidden);
        for (const count of [1, 4, 5, 40]) {
          const queries = cat([at(rows, [0, 1500]), drawn(count, dim, 2)]).narrow(0, 0, count);
          const found = gallery.nearest(queries, 7);
          const wanted = nearestNeighbours(queries, at(rows, shown), 7);
          expect([...found.indices]).toEqual([...wanted.indices].map((place) => shown[place]));
          for (const [i, distance] of found.distances.entries())
            expect(distance).toBeCloseTo(wanted.distances[i]!, 6);
        }
        expect(gallery.nearest(drawn(2, dim, 3), 5000).k).toBe(2100);
      });
      expect(liveTensors()).toBe(live);
    });
  }

  it('gives the lowest indices of a thousand equal rows', () => {
    scope(() => {
      const row = drawn(1, 24, 4);
      const rows = cat([drawn(500, 24, 5), ...Array.from({ length: 1000 }, () => row), drawn(500, 24, 6)]);
      using gallery = new UnitGallery(rows, Int32Array.of(501));
      for (const count of [1, 8]) {
        const { indices } = gallery.nearest(cat(Array.from({ length: count }, () => row)), 4);
        for (let query = 0; query < count; query++)
          expect([...indices.subarray(4 * query, 4 * query + 4)]).toEqual([500, 502, 503, 504]);
      }
    });
  });

  it('refuses products of what does not fit', () => {
    scope(() => {
      using candidates = new NeighbourCandidates(2, 3, 10);
      const [queries, rows] = [drawn(2, 4, 1), drawn(10, 4, 2)];
      for (const work of [
        () => candidates.offerProducts(drawn(2, 5, 1), rows, ones([10]), 0),
        () => candidates.offerProducts(queries, rows, ones([9]), 0),
        () => candidates.offerProducts(drawn(3, 4, 1), rows, ones([10]), 0),
        () => candidates.offerProducts(queries, rows, ones([10]), -1),
        () => candidates.offerProducts(queries, rows.t(), ones([10]), 0),
        () => candidates.offerProducts(queries, rows, ones([10]), 2 ** 31 - 5),
      ])
        expect(work).toThrow();
    });
  });
});
