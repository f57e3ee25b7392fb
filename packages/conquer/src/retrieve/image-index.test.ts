import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NewIndexItem } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  cat,
  Generator,
  liveTensors,
  randn,
  type Tensor,
  tensor,
  writeSafetensors,
} from '@conquer-dml/torch';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { hardRows } from '../testing/hard-rows.js';
import { ImageIndex } from './image-index.js';
import { unitRowsOf } from './index-rows.js';
import { searchLabelled } from './search-where.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

const drawn = (count: number, dimensions: number, seed: number) =>
  randn([count, dimensions], { generator: new Generator(seed) });
const numbered = (count: number, first = 0): NewIndexItem[] =>
  Array.from({ length: count }, (_, i) => ({ id: `item ${first + i}` }));
const unit = (rows: Tensor) => unitRowsOf('test', rows, String);
const idsOf = (index: ImageIndex, queries: Tensor, k: number) =>
  index.search(queries, k).map((matches) => matches.map(({ id }) => id));

describe("an index of rows of one's own", () => {
  it('finds what is nearest, with labels and payloads, before and after it is saved', () => {
    const before = liveTensors();
    {
      using rows = tensor(Float32Array.of(0, 1, 3, 4, 1, 0, 1, 0.1), { shape: [4, 2] });
      using index = ImageIndex.of(rows, [
        { id: 'up', labels: ['near', 'straight'], payload: { tags: ['a', 'ü\0'], price: 1.5, none: null } },
        { id: 'far, "quoted"\n', labels: 'weit – fern' },
        { id: 'one', payload: [false, ''], images: 2 },
      ]);
      using query = tensor(Float32Array.of(0.9, 0), { shape: [1, 2] });
      const one = { id: 'one', labels: [], payload: [false, ''], path: null };
      const others = [
        {
          id: 'far, "quoted"\n',
          labels: ['weit – fern'],
          payload: null,
          path: null,
          image: 0,
          similarity: expect.closeTo(0.6, 6),
        },
        {
          id: 'up',
          labels: ['near', 'straight'],
          payload: { tags: ['a', 'ü\0'], price: 1.5, none: null },
          path: null,
          image: 0,
          similarity: expect.closeTo(0, 6),
        },
      ];
      const first = { ...one, image: 0, similarity: 1 };
      const second = { ...one, image: 1, similarity: expect.closeTo(1 / Math.hypot(1, 0.1), 6) };
      const file = join(folder, 'own.index');
      index.save(file);
      using opened = ImageIndex.open(file);
      expect([...opened.items()]).toEqual([...index.items()]);
      for (const each of [index, opened]) {
        expect(each.search(query, 9)).toEqual([[first, ...others]]);
        expect(each.search(query, 9, { per: 'image' })).toEqual([[first, second, ...others]]);
        expect(each.search(query, 1)).toEqual([[first]]);
        expect([each.count, each.imageCount, each.dim]).toEqual([3, 4, 2]);
        expect(each.item('one')?.images).toHaveLength(2);
        expect([each.item('two'), each.rows('two')]).toEqual([undefined, undefined]);
        using row = each.rows('far, "quoted"\n')!;
        expect([...row.toNumbers()]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
      }
      // One of one's own is written over, and nothing else is left behind.
      using again = ImageIndex.of(rows, numbered(4));
      again.save(file);
      expect(readdirSync(folder)).toEqual(['own.index']);
      expect(readdirSync(file).map((name) => name.split('.')[1])).toEqual(
        expect.arrayContaining(['rows', 'items', 'table', 'json']),
      );
      expect(readdirSync(file)).toHaveLength(4);
    }
    expect(liveTensors()).toBe(before);
  });

  it('is written whole where its folder was removed since it was opened', () => {
    const file = join(folder, 'removed.index');
    using rows = drawn(3, 8, 5);
    {
      using index = ImageIndex.of(rows, numbered(3));
      index.save(file);
    }
    using index = ImageIndex.open(file);
    rmSync(file, { recursive: true });
    using more = drawn(1, 8, 6);
    index.add(more, numbered(1, 3));
    index.save(file);
    ImageIndex.check(file);
    using again = ImageIndex.open(file);
    expect([...again.items()].map(({ id }) => id)).toEqual(numbered(4).map(({ id }) => id));
    expect(idsOf(again, rows, 1).flat()).toEqual(['item 0', 'item 1', 'item 2']);
  });

  it('is not searched again and again for items of a label where the rest is too unlike', async () => {
    using rows = drawn(600, 8, 5);
    using index = ImageIndex.of(
      rows,
      numbered(600).map((item, i) => ({ ...item, labels: i % 300 === 0 ? 'rare' : 'often' })),
    );
    const all = vi.spyOn(index, 'search');
    using query = rows.narrow(0, 0, 1);
    expect((await searchLabelled(index, query, 2, 'rare'))[0]!.map(({ id }) => id)).toEqual([
      'item 0',
      'item 300',
    ]);
    expect(all.mock.calls.length).toBeGreaterThan(2);
    all.mockClear();
    // As where only three are like enough.
    const search = ImageIndex.prototype.search.bind(index);
    all.mockImplementation((queries, k, options) => search(queries, Math.min(k, 3), options));
    expect((await searchLabelled(index, query, 2, 'rare'))[0]!.map(({ id }) => id)).toEqual(['item 0']);
    expect(all).toHaveBeenCalledTimes(2);
  });

  it('measures by the cosine, however long rows and queries are', () => {
    using rows = tensor(Float32Array.of(1e-30, 0, 1e30, 1e30, -4, 0, 0, 2), { shape: [4, 2] });
    using index = ImageIndex.of(rows, numbered(4));
    const file = join(folder, 'cosine.index');
    index.save(file);
    using opened = ImageIndex.open(file);
    for (const one of [index, opened]) {
      const [found] = one.search(tensor(Float32Array.of(7e20, 0), { shape: [1, 2] }), 4);
      expect(found!.map(({ id }) => id)).toEqual(['item 0', 'item 1', 'item 3', 'item 2']);
      for (const [i, similarity] of [1, Math.SQRT1_2, 0, -1].entries())
        expect(found![i]!.similarity).toBeCloseTo(similarity, 6);
    }
    const zero = tensor(Float32Array.of(1, 1, 0, 0), { shape: [2, 2] });
    expect(() => index.search(zero, 1)).toThrow(/the row of query 2 is zero/);
    expect(() => ImageIndex.of(zero, numbered(2))).toThrow(/the row of item 1 is zero/);
    expect(() => index.update(zero.div(0), numbered(2))).toThrow(/the row of item 0 is not of finite/);
  });

  it('is after adding and removing what it would be if it had been made so', () => {
    const all = drawn(400, 12, 1);
    const queries = drawn(5, 12, 2);
    using index = ImageIndex.of(all.narrow(0, 0, 150), numbered(150));
    idsOf(index, queries, 10); // prepared, and then anew
    index.add(all.narrow(0, 150, 200), numbered(200, 150));
    const same = (places: number[]) => {
      const rows = all.indexSelect(0, tensor(Int32Array.from(places), { dtype: 'int64' }));
      using anew = ImageIndex.of(
        rows,
        places.map((place) => ({ id: `item ${place}` })),
      );
      expect([...index.items()]).toEqual([...anew.items()]);
      expect(index.search(queries, 10)).toEqual(anew.search(queries, 10));
      const { indices } = nearestNeighbours(unit(queries), unit(rows), 10);
      expect(idsOf(index, queries, 10).flat()).toEqual([...indices].map((at) => `item ${places[at]}`));
    };
    const places = Array.from({ length: 350 }, (_, i) => i);
    same(places);
    const nearest = idsOf(index, queries, 3).flat();
    expect(index.remove([...nearest, 'nobody', ...nearest])).toBe(new Set(nearest).size);
    const left = places.filter((place) => !nearest.includes(`item ${place}`));
    same(left);
    index.add(all.narrow(0, 350, 50), numbered(50, 350));
    same([...left, ...Array.from({ length: 50 }, (_, i) => 350 + i)]);
    // To nothing and back.
    expect(index.remove([...index.items()].map(({ id }) => id))).toBe(left.length + 50);
    expect([index.count, index.search(queries, 3)]).toEqual([0, [[], [], [], [], []]]);
    const file = join(folder, 'empty.index');
    index.save(file);
    using empty = ImageIndex.open(file);
    empty.add(all.narrow(0, 0, 1), numbered(1));
    expect(idsOf(empty, queries.narrow(0, 0, 1), 3)).toEqual([['item 0']]);
  });

  it('gives equally near ones in the order in which they were added', () => {
    const row = drawn(1, 6, 3);
    const others = drawn(30, 6, 4).add(9);
    using index = ImageIndex.of(cat([others, row, row]), numbered(32));
    index.add(cat([row, row]), numbered(2, 32));
    index.remove(['item 31']);
    expect(idsOf(index, row, 3)).toEqual([['item 30', 'item 32', 'item 33']]);
  });

  for (const { name, rows } of hardRows) {
    it(`is exact: ${name}`, () => {
      const x = rows(600, 24, 5);
      using index = ImageIndex.of(x, numbered(600));
      for (const count of [1, 3, 20]) {
        const queries = x.narrow(0, 40, count);
        const { indices } = nearestNeighbours(unit(queries), unit(x), 8);
        expect(idsOf(index, queries, 8).flat()).toEqual([...indices].map((at) => `item ${at}`));
      }
    });
  }

  it('refuses what does not fit, and stays as it was', () => {
    const rows = drawn(3, 4, 6);
    using index = ImageIndex.of(rows, numbered(3));
    const refused: [() => unknown, RegExp][] = [
      [() => ImageIndex.of(rows, numbered(2)), /expected \(2, 4\) rows, one for each image, got \[3,4\]/],
      [() => ImageIndex.of(rows, [...numbered(2), { id: 'item 0' }]), /item 0 is there twice/],
      [() => index.add(rows.narrow(0, 0, 1), [{ id: 'item 1' }]), /item 1 is there already/],
      [
        () => index.add(drawn(1, 5, 1), [{ id: 'new' }]),
        /expected \(1, 4\) rows, one for each image, got \[1,5\]/,
      ],
      [() => index.add(rows.narrow(0, 0, 1).div(0), [{ id: 'new' }]), /the row of new is not of finite/],
      [() => index.add(rows.narrow(0, 0, 1), [{ id: '' }]), /expected its id not to be empty/],
      [
        () => index.add(rows.narrow(0, 0, 1), [{ id: 'a\0b' }]),
        /expected its id not to be empty nor to hold a zero/,
      ],
      [
        () => index.add(rows.narrow(0, 0, 1), [{ id: 'a', labels: '' }]),
        /expected its label not to be empty/,
      ],
    ];
    const bad: [NewIndexItem, RegExp][] = [
      [{ id: 7 as unknown as string }, /expected a string as its id, got number/],
      [{ id: 'a', labels: [7 as unknown as string] }, /expected a string as its label, got number/],
      [{ id: 'a', payload: 7n as unknown as number }, /expected JSON as its payload/],
      [{ id: 'a', payload: (() => 7) as unknown as number }, /expected JSON as its payload: got function/],
    ];
    for (const [item, message] of bad) refused.push([() => index.add(rows.narrow(0, 0, 1), [item]), message]);
    const contents = structuredClone([...index.items()]);
    for (const [work, message] of refused) expect(work).toThrow(message);
    expect([...index.items()]).toEqual(contents);
    expect(idsOf(index, rows, 1)).toEqual([['item 0'], ['item 1'], ['item 2']]);
  });

  it('says what is wrong with its file', () => {
    const file = join(folder, 'wrong.index');
    using embeddings = unit(drawn(2, 3, 7));
    const bytes = (text: string) => tensor(new TextEncoder().encode(text));
    const stamps = tensor(Float64Array.of(1, 2, 3, 4), { shape: [2, 2] });
    const sound = { embeddings, ids: bytes('a\0b'), paths: bytes('\0'), stamps };
    const write = (tensors: Record<string, Tensor>) =>
      writeSafetensors(file, new Map(Object.entries({ ...sound, ...tensors })), {
        format: 'conquer-index-3',
      });
    write({});
    ImageIndex.open(file).dispose();
    for (const [tensors, message] of [
      [
        { ids: bytes('a\0b\0c') },
        /wrong\.index: it holds 3 ids, 2 paths, 4 stamps .*; index the folder again/,
      ],
      [{ ids: bytes('a\0a') }, /wrong\.index: .* a is there twice; index the folder again/],
      [{ payloads: bytes('{}\0{') }, /wrong\.index: the payload of b is no JSON: /],
      [{ embeddings: embeddings.reshape([6]) }, /wrong\.index: it holds 2 ids/],
      [{ embeddings: embeddings.div(0) }, /wrong\.index: .*the row of a is not of finite/],
      [
        { embeddings: embeddings.mul(9) },
        /wrong\.index: .* not of length 1, and an index compares by the cosine/,
      ],
    ] as const) {
      write(tensors);
      const before = liveTensors();
      expect(() => ImageIndex.open(file)).toThrow(message);
      expect(liveTensors()).toBe(before);
    }
    writeFileSync(file, readFileSync(file).subarray(0, 100));
    expect(() => ImageIndex.open(file)).toThrow(/the index cannot be read/);
  });
});
