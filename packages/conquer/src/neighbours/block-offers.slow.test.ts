import {
  Generator,
  NeighbourCandidates,
  ones,
  packRows,
  rand,
  randn,
  scope,
  tensor,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { hardRows } from '../testing/hard-rows.js';
import { IntegerOffers, MatrixOffers } from './block-offers.js';
import { asProducts } from './block-vectors.js';
import { chooseOffers } from './choose-offers.js';
import { nearestNeighbours } from './nearest.js';
import { neighboursByBlocks } from './nearest-by-blocks.js';
import { integerError, spaceOf } from './product-filter.js';

const processorHasThem = packRows(ones([1, 2]), ones([1]), 'rows') !== null;

describe.runIf(processorHasThem)('products of integers', () => {
  it('are wrong by no more than the bound says, for rows of any norms and numbers of any count', () => {
    for (const [rows, columns, dimensions] of [
      [1, 1, 1],
      [5, 33, 3],
      [70, 90, 130],
      [130, 17, 513],
    ] as const) {
      const generator = new Generator(rows);
      const sized = (count: number) =>
        randn([count, dimensions], { generator }).mul(
          rand([count, 1], { generator }).mul(40).sub(20).mul(Math.LN2).exp(),
        );
      const [x, y] = [sized(rows), sized(columns)];
      const squares = [x, y].map((some) => some.square().sum(1));
      const [left, right] = [packRows(x, squares[0]!, 'rows')!, packRows(y, squares[1]!, 'columns')!];
      const { relative, absolute } = integerError(dimensions);
      // Both ways: the block's rows are the candidates 0, …, its columns those behind.
      const candidates = new NeighbourCandidates(rows + columns, Math.min(rows, columns), rows + columns);
      const transposed = { row: rows, index: 0 };
      candidates.offerPacked(left, right, { row: 0, index: 0, transposed, same: false });
      const settled = (row: number, queries: typeof x, own: number, gallery: typeof x, other: number) =>
        candidates.settle({
          row,
          queries,
          gallery,
          queryNorms: squares[own]!.sqrt(),
          galleryNorms: squares[other]!.sqrt(),
          relative: 0,
          absolute: 0,
          scale: 1,
          k: Math.min(rows, columns),
          ordered: 0,
          cuts: tensor(new Int32Array(0)),
          exact: false,
        });
      const found = [settled(0, x, 0, y, 1), settled(rows, y, 1, x, 0)];
      for (const [side, { indices, distances }] of found.entries()) {
        const [queries, gallery] = (side === 0 ? [x, y] : [y, x]).map((some) =>
          some.to({ dtype: 'float64' }),
        );
        const gaps = queries!.unsqueeze(1).sub(gallery!).square().sum(2).toNumbers();
        const norms = [queries!, gallery!].map((some) => some.norm(2, 1).toNumbers());
        const k = Math.min(rows, columns);
        for (const [at, index] of indices.entries()) {
          const row = Math.floor(at / k);
          const true_ = gaps[row * gallery!.size(0) + index]!;
          const most = relative * (norms[0]![row]! + norms[1]![index]!) ** 2 + absolute;
          expect(Math.abs(distances[at]! ** 2 - true_)).toBeLessThanOrEqual(most + 1e-6 * true_);
        }
      }
    }
  });

  it('find the neighbours that float64 finds, among themselves and in a gallery', () => {
    const generator = new Generator(3);
    const x = randn([4500, 21], { generator })
      .mul(rand([4500, 1], { generator }).add(0.2))
      .add(3);
    const precise = x.to({ dtype: 'float64' });
    for (const k of [1, 20, 150]) {
      for (const gallery of [null, x.narrow(0, 0, 4200)]) {
        const found = nearestNeighbours(x, gallery, k);
        const wanted = nearestNeighbours(precise, gallery && precise.narrow(0, 0, 4200), k);
        expect(found.indices).toEqual(wanted.indices);
      }
    }
  });

  it('find them part after part where all candidates would be too many', () => {
    const x = randn([4300, 6], { generator: new Generator(6) });
    const search = { queries: x, all: x, space: spaceOf('rows', x, null), own: true };
    const found: number[] = [];
    scope(() =>
      neighboursByBlocks(search, 10, { blockSize: 300, mostBytes: 16 * 26 * 1000 }, ({ indices }) => {
        found.push(...indices);
      }),
    );
    expect(Int32Array.from(found)).toEqual(nearestNeighbours(x.to({ dtype: 'float64' }), null, 10).indices);
  });

  for (const { name, rows } of hardRows) {
    it(`find them too: ${name}`, () => {
      const x = rows(4100, 9, 5);
      const found = nearestNeighbours(x, null, 12);
      expect(found.indices).toEqual(nearestNeighbours(x.to({ dtype: 'float64' }), null, 12).indices);
    });
  }

  it('are chosen where they are precise enough, and not where the nearest lie nearer to each other than that', () => {
    const generator = new Generator(4);
    const chosen = (x: ReturnType<typeof randn>, k: number) => {
      const search = { queries: x, all: x, space: spaceOf('rows', x, null), own: true };
      return chooseOffers(search, asProducts(search), { k, keep: k + 1, available: x.size(0) - 1 });
    };
    const spread = randn([4200, 64], { generator });
    expect(chosen(spread, 100).offers).toBeInstanceOf(IntegerOffers);
    // Two in a row may lie too near to each other for one query of those tried.
    expect(chosen(spread, 100).keep).toBeGreaterThan(101);
    expect(chosen(spread, 100).keep).toBeLessThan(150);
    // Each row 30 times.
    expect(chosen(spread.narrow(0, 0, 140).repeat([30, 1]), 10).offers).toBeInstanceOf(MatrixOffers);
    expect(chosen(spread.narrow(0, 0, 4000), 10).offers).toBeInstanceOf(MatrixOffers);
    // One at the mean.
    const centred = spread.sub(spread.mean(0, true));
    centred.narrow(0, 0, 1).zero_();
    const search = { queries: centred, all: centred, own: true };
    const space = { scale: 1, mean: centred.narrow(0, 0, 1).to({ dtype: 'float64' }) };
    expect(IntegerOffers.of(asProducts({ ...search, space }))).toBeNull();
  });
});
