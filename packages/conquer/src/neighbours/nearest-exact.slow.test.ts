import { cat, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { hardRows } from '../testing/hard-rows.js';
import { nearestNeighbours } from './nearest.js';

/** Every distance by differences in float64, in the order of distance and then index. */
function bruteForce(queries: Tensor, gallery: Tensor | null, k: number): number[] {
  const dimensions = queries.size(1);
  const q = queries.toNumbers();
  const g = (gallery ?? queries).toNumbers();
  const size = g.length / dimensions;
  return Array.from({ length: queries.size(0) }, (_, row) => {
    const squares = Float64Array.from({ length: size }, (_, position) => {
      let square = 0;
      for (let d = 0; d < dimensions; d++)
        square += (q[row * dimensions + d]! - g[position * dimensions + d]!) ** 2;
      return square;
    });
    return [...squares.keys()]
      .filter((position) => gallery !== null || position !== row)
      .sort((a, b) => squares[a]! - squares[b]! || a - b)
      .slice(0, k);
  }).flat();
}

/** Places that hold another index than brute force, other than for two distances that are one but for the order of a sum. */
function differences(
  found: Int32Array,
  wanted: number[],
  k: number,
  queries: Tensor,
  gallery: Tensor,
): number {
  const [d, q, g] = [queries.size(1), queries.toNumbers(), gallery.toNumbers()];
  const square = (row: number, position: number) => {
    let sum = 0;
    for (let i = 0; i < d; i++) sum += (q[row * d + i]! - g[position * d + i]!) ** 2;
    return sum;
  };
  return wanted.filter((position, at) => {
    const other = found[at]!;
    if (other === position) return false;
    const row = Math.floor(at / k);
    const [a, b] = [square(row, position), square(row, other)];
    return Math.abs(a - b) > 1e-14 * Math.max(a, b);
  }).length;
}

describe('nearest neighbours are those of differences in float64', () => {
  for (const { name, rows } of hardRows) {
    it(name, () => {
      for (const [count, dimensions, k, seed] of [
        [300, 5, 7, 1],
        [150, 67, 149, 2],
        [2500, 16, 40, 3],
      ] as const) {
        const x = rows(count, dimensions, seed);
        const few = count > 1000 ? x.narrow(0, 0, 40) : null;
        // Against a gallery, and among themselves.
        const wanted = bruteForce(few ?? x, few ? x : null, k);
        for (const precise of [x, x.to({ dtype: 'float64' })]) {
          const queries = few ? precise.narrow(0, 0, 40) : precise;
          for (const order of [undefined, { first: k, cuts: [] }]) {
            const found = nearestNeighbours(queries, few ? precise : null, k, { order });
            expect(differences(found.indices, wanted, k, few ?? x, x)).toBe(0);
          }
        }
      }
    });
  }

  it('takes equally near ones by index where distances are sums of the same terms in other places', () => {
    // Rows of signs, of length 1: few different distances, which plain sums tell apart by the last digit.
    for (const [count, dimensions] of [
      [200, 9],
      [150, 130],
      [90, 600],
    ] as const) {
      const random = new Random(count);
      const signs = Int8Array.from({ length: count * dimensions }, () => (random.next() < 0.5 ? 1 : -1));
      const x = tensor(
        Float32Array.from(signs, (sign) => sign / Math.sqrt(dimensions)),
        {
          shape: [count, dimensions],
        },
      );
      const apart = (a: number, b: number) => {
        let sum = 0;
        for (let d = 0; d < dimensions; d++)
          sum += Number(signs[a * dimensions + d] !== signs[b * dimensions + d]);
        return sum;
      };
      const wanted = Array.from({ length: count }, (_, row) =>
        Array.from({ length: count }, (_, other) => other)
          .filter((other) => other !== row)
          .sort((a, b) => apart(row, a) - apart(row, b) || a - b),
      );
      for (const precise of [x, x.to({ dtype: 'float64' })]) {
        for (const k of [1, 12, 40]) {
          const { indices } = nearestNeighbours(precise, null, k);
          expect([...indices]).toEqual(wanted.flatMap((row) => row.slice(0, k)));
        }
        // Which are the first 7, 20 and 40: cuts whose equally near ones meet.
        const { indices } = nearestNeighbours(precise, null, 40, { order: { first: 3, cuts: [20, 7] } });
        for (const [row, all] of wanted.entries()) {
          const found = indices.subarray(row * 40, (row + 1) * 40);
          expect([...found.subarray(0, 3)]).toEqual(all.slice(0, 3));
          for (const cut of [7, 20, 40]) {
            expect(new Set(found.subarray(0, cut))).toEqual(new Set(all.slice(0, cut)));
          }
        }
      }
    }
  });

  it('equal distances come in the order of the index, one farther away behind 40 of them', () => {
    const rows = [0, 9, ...Array.from({ length: 40 }, () => 1), 2];
    const x = tensor(Float32Array.from(rows), { shape: [rows.length, 1] });
    for (const precise of [x, x.to({ dtype: 'float64' })]) {
      for (const k of [1, 16, 17, 39, 41]) {
        const { indices } = nearestNeighbours(
          precise.narrow(0, 0, 1),
          precise.narrow(0, 1, rows.length - 1),
          k,
        );
        const wanted = [...Array.from({ length: 40 }, (_, i) => i + 1), 41];
        expect([...indices]).toEqual(wanted.slice(0, k));
      }
    }
  });

  it('refuses rows that are NaN or infinite, of which there are no distances', () => {
    const x = tensor(Float32Array.of(1, 2, Number.NaN, 4, 5, Number.POSITIVE_INFINITY), { shape: [6, 1] });
    const sound = x.narrow(0, 0, 2);
    expect(() => nearestNeighbours(x, null, 1)).toThrow(/NaN or infinity in 2 of 6 rows, the first is 2/);
    expect(() => nearestNeighbours(sound, x, 1)).toThrow(RangeError);
    expect(() => nearestNeighbours(x, sound, 1)).toThrow(RangeError);
  });
});

describe('only some of the order', () => {
  it('holds at a cut whose undecided ones end at the next cut', () => {
    const k = 5;
    for (let seed = 0; seed < 40; seed++) {
      const near = hardRows[2]!.rows(k, 64, seed).mul(1e-4);
      const far = hardRows[2]!.rows(60, 64, 1000 + seed).mul(1e3);
      const x = cat([near, far, near.narrow(0, 0, 1).mul(0)], 0);
      const query = x.narrow(0, x.size(0) - 1, 1);
      const gallery = x.narrow(0, 0, x.size(0) - 1);
      const all = nearestNeighbours(query, gallery, k);
      const found = nearestNeighbours(query, gallery, k, { order: { first: 0, cuts: [3] } });
      expect([...found.indices.subarray(0, 3)].sort()).toEqual([...all.indices.subarray(0, 3)].sort());
    }
  });

  for (const { name, rows } of hardRows) {
    it(`holds the same sets at the cuts: ${name}`, () => {
      const x = rows(400, 8, 21);
      const k = 120;
      const all = nearestNeighbours(x, null, k);
      for (const order of [
        { first: 10, cuts: [1, 20, 21, 100] },
        { first: 0, cuts: [64, 5] },
        { first: 1, cuts: [] },
        { first: 120, cuts: [1000] },
      ]) {
        const found = nearestNeighbours(x, null, k, { order });
        const from = (start: number, until: number) => {
          const of = (indices: Int32Array) => [...indices.subarray(start, until)];
          return [of(found.indices), of(all.indices)] as const;
        };
        for (let row = 0; row < 400; row++) {
          const [some, wanted] = from(row * k, row * k + Math.min(k, order.first));
          expect(some).toEqual(wanted);
          for (const cut of [...order.cuts, k]) {
            const [set, wantedSet] = from(row * k, row * k + Math.min(k, cut));
            expect(set.sort((a, b) => a - b)).toEqual(wantedSet.sort((a, b) => a - b));
          }
        }
      }
    });
  }
});
