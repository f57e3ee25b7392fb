import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openIndex, thresholdFor } from '@conquer-dml/browser';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, randn } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { exportIndex } from '../../conquer/src/export/export-index.js';
import { ImageIndex } from '../../conquer/src/retrieve/image-index.js';

const [ITEMS, DIM] = [150, 48];
const file = join(temporaryFolder(), 'index.safetensors');

/** Rows around nothing in particular, the hardest to tell apart; every third item has two. */
function drawnIndex(): ImageIndex {
  const items = Array.from({ length: ITEMS }, (_, i) => ({
    ...{ id: `a/${i}`, labels: i % 2 ? `class ${i % 5}` : [], payload: { price: i } },
    images: i % 3 === 0 ? 2 : 1,
  }));
  using rows = randn([ITEMS + ITEMS / 3, DIM], { generator: new Generator(3) });
  return ImageIndex.of(rows, items);
}

it('what is exported in 8 bits finds what the index finds, item by item', async () => {
  using index = drawnIndex();
  const { items, rows, difference } = exportIndex(index, file);
  expect([items, rows, difference!.queries, difference!.k]).toEqual([150, 200, 200, 10]);
  expect(difference!.recall).toBeGreaterThan(0.97);
  expect(difference!.largest).toBeLessThan(5e-3);
  const small = await openIndex(readFileSync(file));
  expect([small.count, small.dim, small.embedder, small.thresholds]).toEqual([150, DIM, null, []]);
  using queries = randn([20, DIM], { generator: new Generator(4) });
  const numbers = queries.toTypedArray() as Float32Array;
  for (const [at, exact] of index.search(queries, 5).entries()) {
    const found = small.search(numbers.subarray(at * DIM, (at + 1) * DIM), 5);
    expect(found).toHaveLength(5);
    expect(found[0]).toMatchObject({ id: exact[0]!.id, labels: exact[0]!.labels, image: exact[0]!.image });
    for (const [rank, { similarity }] of found.entries())
      expect(similarity).toBeCloseTo(exact[rank]!.similarity, 2);
    expect(found.map(({ similarity }) => similarity)).toEqual(
      found.map(({ similarity }) => similarity).sort((a, b) => b - a),
    );
  }
});

it('an item is found by its nearest image, those added first before equal ones, and no more than there are', async () => {
  using index = ImageIndex.of(
    [
      [0, 1],
      [1, 0],
      [1, 0],
      [-1, 0],
    ],
    [{ id: 'two', images: 2 }, { id: 'same' }, { id: 'opposite' }],
  );
  exportIndex(index, file);
  const small = await openIndex(readFileSync(file));
  const found = small.search([3, 0], 9);
  expect(found.map(({ id, image, similarity }) => [id, image, similarity])).toEqual([
    ['two', 1, 1],
    ['same', 0, 1],
    ['opposite', 0, -1],
  ]);
  expect(small.search([3, 0], 1).map(({ id }) => id)).toEqual(['two']);
  expect(() => small.search([1, 2, 3])).toThrow('search: expected a row of 2 numbers, got 3');
  expect(() => small.search([0, 0])).toThrow('expected finite numbers that are not all zero');
  expect(() => small.search([1, Number.NaN])).toThrow('expected finite numbers');
  expect(() => small.search([1, 0], 0)).toThrow('expected k to be a whole number of 1 or more, got 0');
  expect(() => small.search([1, 0], 1, { maxFalseMatch: 0.1 })).toThrow(/calibrate the run or the index/);
});

it('a rate has the threshold of the next one that is stated, and none that is not supported', () => {
  const thresholds = [0.1, 0.01].map((rate) => ({ rate, similarity: 1 - rate, found: 0.5 }));
  expect(thresholdFor(thresholds, 0.05).similarity).toBe(0.99);
  expect(thresholdFor(thresholds, 1).similarity).toBe(0.9);
  expect(() => thresholdFor(thresholds, 0.001)).toThrow(
    'maxFalseMatch: the calibration supports rates of 0.01 or more, got 0.001',
  );
  expect(() => thresholdFor(thresholds, 0)).toThrow('expected a rate above 0 and at most 1, got 0');
});

it('an empty index is not exported, and bytes that are cut anywhere are refused', async () => {
  using empty = ImageIndex.empty(4);
  expect(() => exportIndex(empty, file)).toThrow(/expected an index of 1 to \d+ images, .* got 0$/);
  using index = ImageIndex.of([[1, 0]], [{ id: 'a' }]);
  exportIndex(index, file);
  const bytes = readFileSync(file);
  for (let length = 0; length < bytes.length; length++)
    await expect(openIndex(bytes.subarray(0, length)), `${length}`).rejects.toThrow(
      /^the index: expected index.safetensors, .*; it is (another file|another file, or cut off|damaged or cut off)$/,
    );
});
