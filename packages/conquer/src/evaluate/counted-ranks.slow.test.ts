import { cat, Generator, rand, randn, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { type Bits, possibleBits } from '../neighbours/quantize.js';
import { hardRows } from '../testing/hard-rows.js';
import { eachCountedRanking } from './counted-ranks.js';
import { type Places, placesOf, targetsOf } from './places.js';

interface Ranked {
  queries: Tensor;
  gallery: Tensor | null;
  targets: Places;
  leftOut: Places | null;
  deepest: number;
}

function counted(search: Ranked, bits: Bits): number[][] {
  const found: number[][] = [];
  const tell = (query: number, ranks: readonly number[]) => {
    expect(query).toBe(found.length);
    found.push([...ranks]);
  };
  expect(eachCountedRanking(search, {}, tell, bits)).toBe(true);
  return found;
}

/** The same by lists of all neighbours, from rows in float64. */
function listed({ queries, gallery, targets, leftOut, deepest }: Ranked): number[][] {
  const precise = queries.to({ dtype: 'float64' });
  const size = (gallery ?? queries).size(0);
  const among = gallery ? gallery.to({ dtype: 'float64' }) : null;
  const { indices, k } = nearestNeighbours(precise, among, size);
  return Array.from({ length: queries.size(0) }, (_, query) => {
    const of = (some: Places | null) =>
      new Set(some?.places.subarray(some.starts[query], some.starts[query + 1]));
    const left = of(leftOut);
    const all = [...indices.subarray(query * k, (query + 1) * k)].filter((place) => !left.has(place));
    const own = of(targets);
    return all.slice(0, deepest).flatMap((place, at) => (own.has(place) ? [at + 1] : []));
  });
}

const classes = (count: number, of: number) => Int32Array.from({ length: count }, (_, i) => (i * 7) % of);

describe.each(possibleBits())('ranks that are counted, by integers of %i bits', (bits) => {
  const kinds = [
    {
      name: 'drawn rows of several lengths',
      rows: (n: number, d: number, seed: number) => {
        const generator = new Generator(seed);
        return randn([n, d], { generator })
          .mul(rand([n, 1], { generator }).add(0.2))
          .add(1);
      },
    },
    {
      name: 'classes around centres, numbers of uneven size',
      rows: (n: number, d: number, seed: number) => {
        const generator = new Generator(seed);
        const strengths = rand([1, d], { generator }).pow(4);
        const centres = randn([220, d], { generator }).indexSelect(
          0,
          randn([n], { generator }).abs().mul(60).clamp({ max: 219 }).to({ dtype: 'int64' }),
        );
        return centres.add(randn([n, d], { generator }).mul(0.7)).mul(strengths);
      },
    },
    ...hardRows,
  ];
  for (const { name, rows } of kinds) {
    it(`are those of lists: ${name}`, () => {
      for (const [count, dimensions, of, deepest] of [
        [1100, 5, 220, 1099],
        [1061, 67, 300, 20],
      ] as const) {
        const queries = rows(count, dimensions, count);
        const search = {
          queries,
          gallery: null,
          targets: targetsOf(classes(count, of), null),
          leftOut: null,
          deepest,
        };
        expect(counted(search, bits)).toEqual(listed(search));
      }
    });
  }

  it('are those of lists in a gallery that holds some of the queries and what else they leave out', () => {
    const x = kinds[0]!.rows(1400, 33, 4);
    const [queries, gallery] = [x.narrow(0, 0, 130).contiguous(), x.narrow(0, 100, 1300).contiguous()];
    const labels = classes(1400, 90);
    // The last 30 of the queries stand in the gallery; everyone leaves out three others of its class too.
    const own = new Map(
      Array.from({ length: 130 }, (_, query) => {
        const others = Array.from({ length: 3 }, (_, i) => (query * 3 + i * 90) % 1300);
        return [query, [...new Set([...(query >= 100 ? [query - 100] : []), ...others])]] as const;
      }),
    );
    for (const deepest of [5, 1296]) {
      const search = {
        queries,
        gallery,
        targets: targetsOf(labels.subarray(0, 130), labels.subarray(100), own),
        leftOut: placesOf(130, (query) => own.get(query)!),
        deepest,
      };
      expect(counted(search, bits)).toEqual(listed(search));
    }
  });

  it('leave aside what is too far to matter, and look again where the guess of how far that is was too near', () => {
    // Each row 25 times or more: a sample says nothing of where the nearest few end, and ties are many.
    const x = randn([60, 6], { generator: new Generator(8) });
    const queries = cat([x.repeat([25, 1]), x.narrow(0, 0, 3).repeat([40, 1])], 0);
    const labels = Int32Array.from({ length: queries.size(0) }, (_, i) => i % 101);
    for (const deepest of [1, 30, 200]) {
      const search = { queries, gallery: null, targets: targetsOf(labels, null), leftOut: null, deepest };
      expect(counted(search, bits)).toEqual(listed(search));
    }
  });

  it('of queries without a target are none', () => {
    const queries = kinds[0]!.rows(1030, 8, 6);
    const targets = placesOf(1030, (query) => (query === 7 ? [3, 900] : []));
    const search = { queries, gallery: null, targets, leftOut: null, deepest: 1029 };
    const found = counted(search, bits);
    expect(found).toEqual(listed(search));
    expect(found.filter((ranks) => ranks.length > 0)).toHaveLength(1);
  });
});
