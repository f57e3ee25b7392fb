import { randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { countSharing } from './count-relevant.js';
import { evaluateEmbeddings } from './evaluate.js';

const sets = (...labels: number[][]) => labels.map((set) => Int32Array.from(set));

it('measures what shares a label, as its definition does', () => {
  const random = new Random(3);
  const [count, dim, R] = [40, 5, [1, 4]];
  const labelSets = Array.from({ length: count }, () => random.choice(9, 1 + random.int(3)));
  const x = randn([count, dim]);
  const rows = Array.from({ length: count }, (_, i) => Array.from(x.select(0, i).toNumbers()));
  const metrics = evaluateEmbeddings(
    x,
    Int32Array.from(labelSets, (set) => set[0]!),
    { labelSets, recallAt: R, extended: true },
  );
  const gap = (a: number, b: number) => rows[a]!.reduce((sum, v, d) => sum + (v - rows[b]![d]!) ** 2, 0);
  const sums = { 'R@1': 0, 'R@4': 0, 'MAP@R': 0 };
  for (let query = 0; query < count; query++) {
    const order = [...rows.keys()].filter((i) => i !== query).sort((a, b) => gap(query, a) - gap(query, b));
    const hits = order.map((i) => labelSets[query]!.some((label) => labelSets[i]!.includes(label)));
    const relevant = hits.filter(Boolean).length;
    for (const k of R) sums[`R@${k}` as 'R@1'] += Number(hits.slice(0, k).some(Boolean)) / count;
    let found = 0;
    for (let rank = 0; rank < relevant; rank++)
      if (hits[rank]) sums['MAP@R'] += ++found / (rank + 1) / relevant / count;
  }
  expect(metrics).toMatchObject({
    'R@1': expect.closeTo(sums['R@1'], 12),
    'R@4': expect.closeTo(sums['R@4'], 12),
    'MAP@R': expect.closeTo(sums['MAP@R'], 12),
  });
  expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['R@1', 'R@1 SE', 'R@4', 'MAP@R', 'mARP']));
  const one = Int32Array.from({ length: count }, (_, i) => i % 6);
  const single = scope(() =>
    evaluateEmbeddings(x, one, { labelSets: sets(...Array.from(one, (label) => [label])), nmi: false }),
  );
  expect(single).toEqual(evaluateEmbeddings(x, one, { nmi: false }));
  x.dispose();
});

it('counts a gallery image once, however many labels it shares, and not the query itself', () => {
  const queries = sets([0, 1], [2], [3]);
  expect([...countSharing(queries, null)]).toEqual([0, 0, 0]);
  const gallery = sets([1, 0], [0, 4], [2, 3]);
  expect([...countSharing(queries, gallery)]).toEqual([2, 1, 1]);
  expect([...countSharing(queries, gallery, new Map([[0, [0]]]))]).toEqual([1, 1, 1]);
});

it('refuses several labels of one of the two only', () => {
  const [x, labels] = [
    [[1], [2]],
    [0, 1],
  ];
  const gallery = { embeddings: x, labels };
  expect(() => evaluateEmbeddings(x, labels, { gallery, labelSets: sets([0], [1]) })).toThrow(
    'several labels of queries and gallery both, or one label of both',
  );
  expect(() => evaluateEmbeddings(x, labels, { labelSets: sets([0]) })).toThrow(
    'a set of labels for each of 2 queries, got 1',
  );
});
