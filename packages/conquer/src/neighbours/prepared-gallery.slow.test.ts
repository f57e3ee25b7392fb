import { cat, Generator, liveTensors, randn, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { hardRows } from '../testing/hard-rows.js';
import { nearestNeighbours } from './nearest.js';
import { PreparedGallery } from './prepared-gallery.js';

/** Distances by differences in float64, in the order of distance and then index. */
function bruteForce(queries: Tensor, gallery: Tensor, k: number) {
  const d = queries.size(1);
  const [q, g] = [queries.toNumbers(), gallery.toNumbers()];
  const square = (row: number, position: number) => {
    let sum = 0;
    for (let i = 0; i < d; i++) sum += (q[row * d + i]! - g[position * d + i]!) ** 2;
    return sum;
  };
  const nearest = Array.from({ length: queries.size(0) }, (_, row) => {
    const squares = Float64Array.from({ length: gallery.size(0) }, (__, position) => square(row, position));
    return [...squares.keys()].sort((a, b) => squares[a]! - squares[b]! || a - b).slice(0, k);
  });
  return { nearest: nearest.flat(), square };
}

describe('a prepared gallery finds what differences in float64 say', () => {
  for (const { name, rows } of hardRows) {
    it(name, () => {
      const cases = [
        [500, 7, 3],
        [2500, 33, 12],
        [180, 64, 180],
      ] as const;
      for (const [count, dimensions, k] of cases) {
        const x = rows(count + 110, dimensions, count);
        // Rows that are in the gallery, and others.
        const gallery = x.narrow(0, 0, count);
        const queries = x.narrow(0, count - 20, 110);
        const { nearest, square } = bruteForce(queries, gallery, k);
        using prepared = new PreparedGallery(gallery);
        for (const some of [1, 2, 3, 4, 110]) {
          const found = prepared.nearest(queries.narrow(0, 110 - some, some), k);
          const wanted = nearest.slice((110 - some) * k);
          // Two distances may be one but for the order of a sum.
          const wrong = wanted.filter((position, at) => {
            const row = 110 - some + Math.floor(at / k);
            const [a, b] = [square(row, position), square(row, found.indices[at]!)];
            return position !== found.indices[at] && Math.abs(a - b) > 1e-14 * Math.max(a, b);
          });
          expect(wrong).toEqual([]);
          const plain = nearestNeighbours(queries.narrow(0, 110 - some, some), gallery, k);
          expect(found).toEqual(plain);
        }
      }
    });
  }
});

it('gives equally near ones by index, over the ends of blocks too', () => {
  const [count, dimensions] = [5000, 6];
  const few = randn([9, dimensions], { generator: new Generator(1) });
  const gallery = few
    .repeat([Math.ceil(count / 9), 1])
    .narrow(0, 0, count)
    .contiguous();
  using prepared = new PreparedGallery(gallery);
  for (const queried of [1, 9]) {
    const { indices, distances } = prepared.nearest(few.narrow(0, 0, queried), 40);
    for (let row = 0; row < queried; row++) {
      const wanted = Array.from({ length: 40 }, (_, i) => row + 9 * i);
      expect([...indices.subarray(row * 40, (row + 1) * 40)]).toEqual(wanted);
    }
    expect(new Set(distances)).toEqual(new Set([0]));
  }
});

it('holds the rows a second time only where they have all but collapsed', () => {
  const spread = randn([4000, 96], { generator: new Generator(2) });
  for (const [offset, copies] of [
    [0, 0],
    [1, 0],
    [3, 0],
    [10, 1],
    [1000, 1],
  ] as const) {
    using prepared = new PreparedGallery(spread.add(offset));
    expect(prepared.extraBytes).toBe(8 * 4000 + copies * 4 * 4000 * 96);
  }
});

it('takes queries of any size beside its own, and refuses what has no distances', () => {
  const gallery = randn([300, 8], { generator: new Generator(3) });
  using prepared = new PreparedGallery(gallery);
  for (const factor of [0, 1e-38, 1e-10, 1e6, 1e15, 1e30]) {
    const queries = randn([2, 8], { generator: new Generator(4) }).mul(factor);
    expect(prepared.nearest(queries, 5)).toEqual(nearestNeighbours(queries, gallery, 5));
    const precise = queries.to({ dtype: 'float64' });
    expect(prepared.nearest(precise, 5)).toEqual(nearestNeighbours(precise, gallery, 5));
  }
  expect(prepared.nearest(gallery.narrow(0, 0, 0), 5)).toMatchObject({ k: 5, indices: new Int32Array(0) });
  expect(prepared.nearest(gallery.narrow(0, 0, 1), 900).k).toBe(300);
  const broken = tensor(Float32Array.of(1, Number.NaN), { shape: [1, 2] });
  expect(() => prepared.nearest(cat([broken, broken, broken, broken], 1), 1)).toThrow(
    /NaN or infinity in 1 of 1 rows/,
  );
  expect(() => new PreparedGallery(broken)).toThrow(/NaN or infinity in 1 of 1 rows/);
  expect(() => prepared.nearest(broken, 1)).toThrow(RangeError);
  expect(() => prepared.nearest(gallery, 0)).toThrow(RangeError);
  expect(() => new PreparedGallery(gallery.to({ dtype: 'float64' }))).toThrow(
    /expected float32 \(M, D\) on the CPU/,
  );
});

it('outlives the tensor that it was made of, and frees what it holds', () => {
  const before = liveTensors();
  {
    using query = randn([1, 8], { generator: new Generator(6) });
    const gallery = randn([100, 8], { generator: new Generator(5) });
    const wanted = nearestNeighbours(query, gallery, 3);
    using prepared = new PreparedGallery(gallery);
    gallery.dispose();
    expect(prepared.nearest(query, 3)).toEqual(wanted);
    using none = zeros([0, 8]);
    using empty = new PreparedGallery(none);
    expect(empty.nearest(query, 3)).toMatchObject({ k: 0 });
  }
  expect(liveTensors()).toBeLessThanOrEqual(before);
});
