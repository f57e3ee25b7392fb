import { tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { batchRows } from '../rows.js';
import { difficultiesIn, ImageDifficulty } from './image-difficulty.js';

it('is the similarity to the nearest of another class less that to the nearest of its own', () => {
  const angles = [0, 0.1, 0.5, 0.7, 3];
  const embeddings = tensor(
    angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]),
    { shape: [5, 2], dtype: 'float64' },
  );
  const found = difficultiesIn(batchRows(embeddings, Int32Array.of(0, 1, 0, 1, 2)));
  const between = (a: number, b: number) => Math.cos(angles[a]! - angles[b]!);
  expect(found[0]).toBeCloseTo(between(0, 1) - between(0, 2), 12);
  expect(found[3]).toBeCloseTo(between(3, 2) - between(3, 1), 12);
  // The last has no other of its class.
  expect(Number.isFinite(found[4])).toBe(false);
});

it('does not take a copy of an image for the nearest of its class', () => {
  const embeddings = tensor([1, 0, 1, 0, 0, 1, 0.6, 0.8], { shape: [4, 2], dtype: 'float64' });
  const rows = { ...batchRows(embeddings, Int32Array.of(0, 0, 0, 1)), imageIds: Int32Array.of(7, 7, 8, 9) };
  expect(difficultiesIn(rows)[0]).toBeCloseTo(0.6 - 0, 12);
});

it('is drawn by from the next epoch on, and is the same after it was saved and restored', () => {
  const difficulty = new ImageDifficulty(4);
  difficulty.observe(Int32Array.of(2, 0, 1), Float64Array.of(0.5, -0.25, Number.NaN));
  expect([0, 1, 2, 3].map((image) => difficulty.of(image))).toEqual([null, null, null, null]);
  difficulty.startEpoch();
  difficulty.observe(Int32Array.of(0), Float64Array.of(1));
  const restored = new ImageDifficulty(4);
  restored.restore(JSON.parse(JSON.stringify(difficulty.state())) as ReturnType<typeof difficulty.state>);
  for (const one of [difficulty, restored]) {
    expect([0, 1, 2, 3].map((image) => one.of(image))).toEqual([-0.25, null, 0.5, null]);
    one.startEpoch();
    expect(one.of(0)).toBe(1);
  }
});
