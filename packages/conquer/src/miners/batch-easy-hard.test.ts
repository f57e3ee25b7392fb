import { F, Generator, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { batchRows, type Rows } from '../rows.js';
import { asTuples, type Mined } from '../tuples.js';
import { BatchEasyHardMiner, type BatchEasyHardOptions } from './batch-easy-hard.js';

const listed = (mined: Mined) => {
  const { anchors, positives, negatives } = asTuples(mined);
  return [...anchors].map((anchor, i) => [anchor, positives[i], negatives[i]]);
};

/** Points of the circle, by their angles in degrees. */
function onCircle(angles: number[], labels: number[]): Rows {
  const points = angles.flatMap((angle) => {
    const radians = (angle * Math.PI) / 180;
    return [Math.cos(radians), Math.sin(radians)];
  });
  return batchRows(tensor(points, { shape: [angles.length, 2], dtype: 'float64' }), Int32Array.from(labels));
}

describe('for an anchor at 0°, positives at 10° and 50°, negatives at 5°, 30° and 90°', () => {
  const rows = onCircle([0, 10, 50, -5, -30, -90], [0, 0, 0, 1, 2, 3]);
  it.each<[BatchEasyHardOptions, number[] | undefined]>([
    [{}, [0, 1, 4]],
    [{ positive: 'easy', negative: 'hard' }, [0, 1, 3]],
    [{ positive: 'easy', negative: 'easy' }, [0, 1, 5]],
    [{ positive: 'hard', negative: 'semihard' }, [0, 2, 5]],
    [{ positive: 'hard', negative: 'hard' }, [0, 2, 3]],
    // No positive is nearer than the negative at 5°.
    [{ positive: 'semihard', negative: 'hard' }, undefined],
  ])('%j takes %j', (options, tuple) => {
    const tuples = listed(new BatchEasyHardMiner(options).mine(rows));
    expect(tuples.find(([anchor]) => anchor === 0)).toEqual(tuple);
  });
});

it('has no semihard positive of a semihard negative', () => {
  expect(() => new BatchEasyHardMiner({ positive: 'semihard' })).toThrow(
    /positive: semihard means by the other of the two: expected easy or hard beside it, got 'semihard'/,
  );
});

it('takes the farthest of the positives that are nearer than the negative', () => {
  const rows = onCircle([0, 10, 20, 50, 30], [0, 0, 0, 0, 1]);
  const tuples = new BatchEasyHardMiner({ positive: 'semihard', negative: 'hard' }).mine(rows);
  expect(listed(tuples)[0]).toEqual([0, 2, 4]);
});

it('takes the first of equal ones, and skips an anchor alone of its class or without others', () => {
  const twins = onCircle([0, 40, 40, -60, -60, 90], [0, 0, 0, 1, 1, 2]);
  expect(listed(new BatchEasyHardMiner({ negative: 'hard' }).mine(twins))).toEqual([
    [0, 1, 3],
    [1, 2, 5],
    [2, 1, 5],
    [3, 4, 0],
    [4, 3, 0],
  ]);
  expect(listed(new BatchEasyHardMiner().mine(onCircle([0, 1, 2], [0, 0, 0])))).toEqual([]);
});

it('looks at a reference set, and never takes the image itself for a positive', () => {
  const anchors = onCircle([0, 90], [0, 1]);
  const reference = onCircle([0, 20, 95, 100], [0, 0, 1, 1]);
  reference.imageIds.set([0, 7, 1, 8]);
  expect(listed(new BatchEasyHardMiner({ negative: 'hard' }).mine(anchors, reference))).toEqual([
    [0, 1, 2],
    [1, 3, 1],
  ]);
});

it('is what sorting all distances gives', () => {
  const x = F.normalize(randn([24, 5], { dtype: 'float64', generator: new Generator(4) }));
  const labels = Int32Array.from({ length: 24 }, (_, i) => i % 5);
  const points = x.tolist() as number[][];
  const distance = (i: number, j: number) =>
    Math.hypot(...points[i]!.map((value, d) => value - points[j]![d]!));
  const near = (i: number, same: boolean) =>
    [...labels.keys()]
      .filter((j) => j !== i && (labels[j] === labels[i]) === same)
      .sort((j, k) => distance(i, j) - distance(i, k));
  const expected = [...labels.keys()].flatMap((i) => {
    const positive = near(i, true)[0]!;
    const negative = near(i, false).find((j) => distance(i, j) > distance(i, positive));
    return negative === undefined ? [] : [[i, positive, negative]];
  });
  expect(listed(new BatchEasyHardMiner().mine(batchRows(x, labels)))).toEqual(expected);
});
