import { liveTensors, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { evaluateEmbeddings } from './evaluate/evaluate.js';
import { nearestNeighbours } from './neighbours/nearest.js';
import { ImageIndex } from './retrieve/image-index.js';
import type { Labels, RowData } from './row-data.js';

const lists = [
  [0, 1, 0],
  [0.5, 2, 0],
  [5, 0, 0],
  [6, 0.25, 1],
];
const flat = lists.flat();
const labels = [0, 0, 1, 1];
const forms: [string, () => RowData][] = [
  ['lists', () => lists],
  ['Float32Arrays', () => lists.map((row) => Float32Array.from(row))],
  ['a Float32Array', () => Float32Array.from(flat)],
  ['a Float64Array', () => Float64Array.from(flat)],
  ['numbers', () => flat],
];

describe.each(forms)('rows as %s', (_, rows) => {
  it('give what a tensor gives, and nothing is left of them', () => {
    using whole = tensor(lists);
    const before = liveTensors();
    const options = { nmi: false } as const;
    const searched = { embeddings: rows(), labels };
    expect(evaluateEmbeddings(rows(), labels, options)).toEqual(
      evaluateEmbeddings(whole, Int32Array.from(labels), { ...options, recallAt: [1, 2, 4, 8] }),
    );
    expect(evaluateEmbeddings(rows(), labels, { ...options, gallery: searched })).toMatchObject({
      'R@1': 1,
      'R@8': 1,
    });
    const found = nearestNeighbours(rows(), rows(), 2, { dim: 3 });
    expect(found).toEqual(nearestNeighbours(whole, whole, 2));
    {
      const items = lists.map((__, i) => ({ id: String(i) }));
      using index = ImageIndex.of(rows(), items);
      index.add(rows(), [{ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd' }]);
      const ids = index.search(rows(), 2).map((matches) => matches.map(({ id }) => id));
      expect(ids).toEqual([
        ['0', 'a'],
        ['1', 'b'],
        ['2', 'c'],
        ['3', 'd'],
      ]);
    }
    expect(liveTensors()).toBe(before);
  });
});

it('are refused in words', () => {
  const rows = (given: unknown, of: unknown = labels) =>
    evaluateEmbeddings(given as RowData, of as Labels, { nmi: false });
  for (const [work, message] of [
    [
      () => rows(undefined),
      /queries: expected a tensor \(N, D\), a list of rows or a Float32Array, got undefined$/,
    ],
    [() => rows('x'), /got "x"$/],
    [
      () => rows([[1, 2], [1], [1, 2], [1, 2]]),
      /expected rows of one length, got 2 numbers first and 1 as row 2/,
    ],
    [() => rows([[1, 2], 3]), /expected numbers as row 2, got 3$/],
    [() => rows([['1', '2']]), /expected numbers in row 1, got "1"$/],
    [() => rows(new Float32Array(7)), /expected as many numbers for each of 4 rows, got 7$/],
    [
      () => rows(lists, 'ab'),
      /expected an Int32Array, a list of numbers or a list of names as labels, got "ab"$/,
    ],
    [() => rows(lists, [0, 1, 2, 0.5]), /expected whole numbers as labels, got 0\.5 as label 4$/],
    [() => rows(lists, ['a', 'b', 3, 'a']), /expected names as labels, got 3 as label 3$/],
    [() => rows(lists, [0, 1]), /got shape \[4,3\] and 2 labels/],
    [() => nearestNeighbours(flat, null, 1), /got 12 numbers one after the other: say how many .* with dim$/],
    [() => nearestNeighbours(flat, null, 1, { dim: 5 }), /expected rows of 5 numbers each, got 12 numbers$/],
  ] as const)
    expect(work).toThrow(message);
});
