import { Generator, randn, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import type { Search } from '../neighbours/nearest-candidates.js';
import { spaceOf } from '../neighbours/product-filter.js';
import { possibleBits } from '../neighbours/quantize.js';
import { hardRows } from '../testing/hard-rows.js';
import { chooseBits } from './choose-bits.js';
import { eachCountedRanking } from './counted-ranks.js';
import { evaluateEmbeddings } from './evaluate.js';
import { targetsOf } from './places.js';

describe('counting', () => {
  const classed = (count: number, dimensions: number) => {
    const generator = new Generator(11);
    const labels = Int32Array.from({ length: count }, (_, i) => i % Math.floor(count / 5));
    const centres = randn([Math.floor(count / 5), dimensions], { generator })
      .repeat([6, 1])
      .narrow(0, 0, count);
    return { labels, x: centres.add(randn([count, dimensions], { generator }).mul(0.5)) };
  };

  it('gives the metrics that lists give, to the last bit', () => {
    const { x, labels } = classed(4300, 24);
    const options = { recallAt: [1, 10, 100], nmi: false, metrics: ['usual', 'P@10', 'MAP@10'] } as const;
    const told: [number, number][] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => told.push([done, total]);
    // In float64 they are listed.
    expect(evaluateEmbeddings(x, labels, { ...options, onProgress })).toEqual(
      evaluateEmbeddings(x.to({ dtype: 'float64' }), labels, options),
    );
    expect(told.at(-1)).toEqual([4300, 4300]);
    expect(told.map(([done]) => done)).toEqual(told.map(([done]) => done).sort((a, b) => a - b));
  });

  it('refuses rows that are NaN or infinite as lists do', () => {
    const { x, labels } = classed(4200, 4);
    const targets = targetsOf(labels, null);
    x.narrow(0, 5, 1).fill_(Number.NaN);
    const search = { queries: x, gallery: null, targets, leftOut: null, deepest: 10 };
    expect(() => eachCountedRanking(search, {}, () => {}, 16)).toThrow(
      /NaN or infinity in 1 of 4200 rows, the first is 5/,
    );
  });

  it.runIf(possibleBits().includes(8))(
    'is by bytes where they decide most pairs, and is not where no integers do',
    () => {
      const chosen = (queries: Tensor, labels: Int32Array, deepest: number) => {
        const search: Search = { queries, all: queries, space: spaceOf('rows', queries, null), own: true };
        return chooseBits(search, targetsOf(labels, null), deepest);
      };
      const { x, labels } = classed(4300, 64);
      expect(chosen(x, labels, 10)).toBe(8);
      const heaps = hardRows.find(({ name }) => name.startsWith('two heaps'))!;
      expect(chosen(heaps.rows(4300, 64, 1), labels, 10)).toBeNull();
      // Classes of no meaning: their rows lie among all others.
      expect(chosen(randn([4300, 64], { generator: new Generator(12) }), labels, 100)).toBe(16);
    },
  );
});
