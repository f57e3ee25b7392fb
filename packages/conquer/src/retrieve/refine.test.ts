import { cat, F, Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { augmentGallery, expandQueries } from '../neighbours/expansion.js';
import { eachReranked, neighboursNeeded } from '../neighbours/k-reciprocal.js';
import { rankedByRows } from '../neighbours/ranked-set.js';
import { augmentIndex } from './augment-index.js';
import { ImageIndex } from './image-index.js';

const generator = new Generator(5);
/** 60 rows in groups of 6 around a point, of length 1. */
const rows = scope(() => {
  const centres = randn([10, 1, 8], { generator });
  return F.normalize(centres.add(randn([10, 6, 8], { generator }).mul(0.8)).view([60, 8])).keep();
});
const queries = scope(() =>
  F.normalize(rows.narrow(0, 0, 5).add(randn([5, 8], { generator }).mul(0.5))).keep(),
);
const items = Array.from({ length: 60 }, (_, i) => ({ id: `${i}` }));
/** In three segments. */
const index = ImageIndex.of(rows.narrow(0, 0, 40), items.slice(0, 40));
index.add(rows.narrow(0, 40, 15), items.slice(40, 55));
index.add(rows.narrow(0, 55, 5), items.slice(55));

const idsOf = (matches: { id: string }[]) => matches.map(({ id }) => Number(id));
const nearestTo = (row: Tensor, among: Tensor, k: number): number[] =>
  scope(() => {
    const similarities = among
      .matmul(row.view([-1, 1]))
      .view([-1])
      .toNumbers();
    const order = Array.from(similarities.keys()).sort(
      (a, b) => similarities[b]! - similarities[a]! || a - b,
    );
    return order.slice(0, k);
  });

it.each([
  { k: 3, alpha: 3 },
  { k: 5, alpha: 0 },
  { k: 4, alpha: 1.5 },
  { k: 200, alpha: 1 },
])('finds what the query expanded by its nearest is near to: %o', (expand) => {
  const found = index.search(queries, 10, { expand });
  scope(() => {
    const expanded = expandQueries(queries, rows, { ...expand, k: Math.min(60, expand.k) });
    for (let query = 0; query < 5; query++) {
      expect(idsOf(found[query]!)).toEqual(nearestTo(expanded.narrow(0, query, 1), rows, 10));
      // Similarities are those of the query itself.
      const own = queries.narrow(0, query, 1);
      for (const { id, similarity } of found[query]!)
        expect(similarity).toBeCloseTo(
          own
            .mul(rows.narrow(0, Number(id), 1))
            .sum()
            .item(),
          5,
        );
    }
  });
});

it('ranks candidates anew by mutual neighbours, each query for itself, and leaves the others behind them', () => {
  const options = { k1: 6, k2: 3, lambda: 0.3 };
  const found = index.search(queries, 60, { rerank: { ...options, candidates: 20 } });
  let moved = 0;
  for (let query = 0; query < 5; query++) {
    const own = queries.narrow(0, query, 1);
    const plain = nearestTo(own, rows, 60);
    const candidates = plain.slice(0, 20);
    const expected = scope(() => {
      const set = cat([own, ...candidates.map((row) => rows.narrow(0, row, 1))]);
      let order: number[] = [];
      eachReranked(
        rankedByRows(set, neighboursNeeded(options)),
        options,
        { queries: 1, gallery: { start: 1, count: 20 } },
        ({ distances }) => {
          order = [...candidates.keys()].sort((a, b) => distances[a]! - distances[b]! || a - b);
        },
      );
      return order.map((at) => candidates[at]!);
    });
    const ids = idsOf(found[query]!);
    expect(ids).toEqual([...expected, ...plain.slice(20)]);
    if (ids.join() !== plain.join()) moved++;
    expect(index.search(own, 60, { rerank: { ...options, candidates: 20 } })[0]).toEqual(found[query]);
  }
  expect(moved).toBeGreaterThan(2);
  // lambda 1 is the distance itself.
  const [first] = index.search(queries, 10, { rerank: { lambda: 1 } });
  expect(idsOf(first!)).toEqual(nearestTo(queries.narrow(0, 0, 1), rows, 10));
});

it('answers by items, each once, and fills up with what was no candidate', () => {
  using several = ImageIndex.of(
    rows,
    Array.from({ length: 30 }, (_, i) => ({ id: `${i}`, images: 2 })),
  );
  for (const refine of [{ rerank: { candidates: 4 } }, { expand: {} }, { expand: {}, rerank: {} }]) {
    const [found] = several.search(queries.narrow(0, 0, 1), 12, refine);
    expect(new Set(idsOf(found!)).size).toBe(12);
    const [images] = several.search(queries.narrow(0, 0, 1), 70, { per: 'image', ...refine });
    expect(new Set(images!.map(({ id, image }) => `${id} ${image}`)).size).toBe(60);
  }
});

it('augments an index by itself, and keeps what can no longer be embedded into it apart', () => {
  const before = liveTensors();
  const augmented = augmentIndex(index, { k: 4, alpha: 2 });
  scope(() => {
    const expected = augmentGallery(rows, { k: 4, alpha: 2 });
    const all = augmented.allRows();
    expect(all.sub(expected).abs().max().item()).toBeLessThan(1e-6);
    const [found] = augmented.search(queries.narrow(0, 0, 1), 7);
    expect(idsOf(found!)).toEqual(nearestTo(queries.narrow(0, 0, 1), expected, 7));
  });
  expect(augmented.count).toBe(60);
  scope(() => expect(index.search(rows.narrow(0, 7, 1), 1)[0]![0]!.similarity).toBe(1));
  augmented.dispose();
  expect(liveTensors()).toBe(before);
  using nothing = augmentIndex(ImageIndex.empty(8));
  expect(nothing.count).toBe(0);
  expect(nothing.search(queries, 3, { expand: {}, rerank: {} })).toEqual([[], [], [], [], []]);
});

it.each([
  [{ expand: { k: 0 } }, /expand by k neighbours, 1 or more/],
  [{ expand: { alpha: -1 } }, /a power alpha of at least 0/],
  [{ rerank: { candidates: 1.5 } }, /whole number of candidates/],
  [{ rerank: { k1: 0 } }, /at least 1 for k1/],
  [{ rerank: { lambda: 2 } }, /share of 0 to 1 for lambda/],
])('refuses %o', (refine, message) => {
  expect(() => index.search(queries, 3, refine)).toThrow(message);
});
