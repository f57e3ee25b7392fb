import { Generator, liveTensors, randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { classify } from './classify.js';
import { ImageIndex } from './image-index.js';
import { similarGroups, similarPairs } from './similar-pairs.js';

const drawn = (count: number, dim: number, seed: number) =>
  randn([count, dim], { generator: new Generator(seed) });

it('all pairs that are alike are found once, many copies of one image too', () => {
  const live = liveTensors();
  {
    using rows = drawn(300, 5, 1);
    scope(() => {
      for (let copy = 0; copy < 20; copy++) rows.narrow(0, 10 + 7 * copy, 1).copy_(rows.narrow(0, 3, 1));
    });
    using index = ImageIndex.of(
      rows,
      Array.from({ length: 300 }, (_, i) => ({ id: `i${i}` })),
    );
    using unit = index.allRows();
    const cosines = scope(() => unit.matmul(unit.t()).tolist()) as number[][];
    const minSimilarity = 0.9;
    const wanted = cosines.flatMap((row, i) =>
      row.flatMap((cosine, j) => (j > i && cosine >= minSimilarity ? [`i${i} i${j}`] : [])),
    );
    const pairs = [...similarPairs(index, { minSimilarity })];
    expect(pairs.map(({ first, second }) => `${first.id} ${second.id}`).sort()).toEqual(wanted.sort());
    expect(wanted.length).toBeGreaterThan(210);

    // Groups: components of the graph of these pairs.
    const groups = similarGroups(index, { minSimilarity });
    const groupOf = new Map(groups.flatMap(({ images }, at) => images.map(({ id }) => [id, at] as const)));
    for (const { first, second } of pairs) expect(groupOf.get(first.id)).toBe(groupOf.get(second.id));
    expect(groupOf.size).toBe(new Set(pairs.flatMap(({ first, second }) => [first.id, second.id])).size);
    const sizes = groups.map(({ images }) => images.length);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  }
  expect(liveTensors()).toBe(live);
});

it('a class is what the nearest items that have one say, each by how near it is', async () => {
  using rows = tensor([
    [1, 0],
    [1, 0.3],
    [0.3, 1],
    [0.3, 1],
    [0, 1],
  ]);
  using index = ImageIndex.of(rows, [
    { id: 'unknown' },
    { id: 'a1', labels: 'a' },
    { id: 'b1', labels: ['b', 'also'] },
    { id: 'b2', labels: 'b' },
    { id: 'b3', labels: 'b' },
  ]);
  using query = tensor([[1, 0]]);
  const [near] = await classify(index, query, { k: 3 });
  const cosines = [1 / Math.hypot(1, 0.3), 0.3 / Math.hypot(1, 0.3), 0.3 / Math.hypot(1, 0.3)];
  const weights = cosines.map((cosine) => Math.exp(cosine / 0.07));
  const share = weights[0]! / weights.reduce((sum, weight) => sum + weight);
  expect(near).toMatchObject({ label: 'a', votes: [{ label: 'a' }, { label: 'b' }] });
  expect(near!.confidence).toBeCloseTo(share, 6);
  expect(near!.matches.map(({ id }) => id)).toEqual(['a1', 'b1', 'b2']);
  const [equal] = await classify(index, query, { k: 3, temperature: Number.POSITIVE_INFINITY });
  expect(equal).toMatchObject({ label: 'b', confidence: 2 / 3 });
  await expect(classify(index, query, { temperature: 0 })).rejects.toThrow(/a temperature above 0/);
  index.remove(['a1', 'b1', 'b2', 'b3']);
  expect((await classify(index, query))[0]).toEqual({ label: null, confidence: 0, votes: [], matches: [] });
});
