import { F, manualSeed, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { Random } from '../random.js';
import { batchRows, countPairs, labelled } from '../rows.js';
import { EasyPositiveMiner } from './easy-positive.js';
import { meanOf, positivesOf } from './positives.js';

describe('EasyPositiveMiner', () => {
  it('takes the nearest negatives beyond the cutoff, and positives in order', () => {
    manualSeed(1);
    const random = new Random(1);
    for (let trial = 0; trial < 50; trial++) {
      const size = 2 + random.int(30);
      const labels = Int32Array.from({ length: size }, () => random.int(6));
      const embeddings = F.normalize(randn([size, 5]));
      const distances = distanceMatrix(embeddings);
      const cutoff = random.uniform(0, 1.5);
      const { anchors, positives, negatives } = new EasyPositiveMiner({ cutoff }).mine(
        batchRows(embeddings, labels),
      );
      const wanted = Math.max(
        1,
        Math.floor(meanOf(countPairs(labelled(labels), labelled(labels)).positives)),
      );
      for (let anchor = 0; anchor < size; anchor++) {
        const at = (other: number) => distances[anchor * size + other] as number;
        const tuples = [...anchors.keys()].filter((i) => anchors[i] === anchor);
        const far = [...labels.keys()].filter((i) => labels[i] !== labels[anchor] && at(i) >= cutoff);
        const nearest = far
          .sort((a, b) => at(a) - at(b))
          .slice(0, wanted)
          .sort((a, b) => a - b);
        const own = positivesOf(anchor, labelled(labels), labelled(labels));
        const count = Math.min(own.length, nearest.length);
        expect(tuples.map((i) => negatives[i])).toEqual(nearest.slice(0, count));
        expect(tuples.map((i) => positives[i])).toEqual(own.slice(0, count));
      }
    }
  });

  it('has no tuple where no negative is far enough', () => {
    const embeddings = tensor([
      [1, 0],
      [1, 0],
      [1, 0.01],
      [1, 0.02],
    ]);
    expect(
      new EasyPositiveMiner().mine(batchRows(embeddings, Int32Array.of(0, 0, 1, 1))).anchors.length,
    ).toBe(0);
    expect(
      new EasyPositiveMiner({ cutoff: 0 }).mine(batchRows(embeddings, Int32Array.of(0, 0, 1, 1))).anchors
        .length,
    ).toBe(4);
  });
});
