import { liveTensors, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { distanceMatrix, pairwiseDistances } from './pairwise.js';

const x = tensor([
  [0, 0],
  [3, 4],
  [0, 0.001],
]);

describe('pairwiseDistances', () => {
  it('clamps squares at eps before the root, the diagonal too', () => {
    const distances = pairwiseDistances(x).toNumbers();
    expect(distances[1]).toBeCloseTo(5, 5);
    expect(distances[0]).toBeCloseTo(0.01, 8);
    expect(distances[2]).toBeCloseTo(0.01, 8);
  });

  it('gives unclamped squares', () => {
    expect(pairwiseDistances(x, { squared: true }).toNumbers()[1]).toBeCloseTo(25, 5);
    expect(pairwiseDistances(x, { squared: true }).toNumbers()[0]).toBe(0);
  });

  it('keeps nothing alive but the result', () => {
    const before = liveTensors();
    distanceMatrix(x);
    expect(liveTensors()).toBe(before);
    pairwiseDistances(x).dispose();
    expect(liveTensors()).toBe(before);
  });

  it('refuses embeddings that are not finite, and says where', () => {
    expect(() =>
      distanceMatrix(
        tensor([
          [1, 0],
          [0, NaN],
          [0, 1],
        ]),
      ),
    ).toThrow(/row 1 of the batch/);
  });
});
