import { F, manualSeed, randn } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { Random } from '../random.js';
import { batchRows, labelled } from '../rows.js';
import { FlexibleTripletMiner, negativeChoices, positiveChoices } from './flexible-triplet.js';

const combinations = positiveChoices.flatMap((positive) =>
  negativeChoices.map((negative) => ({ positive, negative })),
);

describe('FlexibleTripletMiner', () => {
  it('takes the first of equally near or far images, as argmin and argmax do', () => {
    // Images 1 and 2 are its positives, 3 to 6 its negatives: two at either distance.
    const row = [0, 2, 2, 3, 3, 1, 1];
    const distances = new Float64Array(49);
    distances.set(row);
    const labels = Int32Array.of(0, 0, 0, 1, 2, 3, 4);
    const chosen = (positive: 'easy' | 'hard', negative: 'hard' | 'semihard') => {
      const miner = new FlexibleTripletMiner({ positive, negative, margin: 2, random: new Random(1) });
      const { anchors, positives, negatives } = miner.choose(distances, labelled(labels));
      const at = anchors.indexOf(0);
      return [positives[at], negatives[at]];
    };
    expect(chosen('easy', 'hard')).toEqual([1, 5]);
    expect(chosen('hard', 'hard')).toEqual([1, 5]);
    expect(chosen('hard', 'semihard')).toEqual([1, 3]);
  });

  it.each(combinations)('$positive positives with $negative negatives', ({ positive, negative }) => {
    manualSeed(7);
    const random = new Random(7);
    const chosen = { positives: new Set<number>(), negatives: new Set<number>() };
    let skipped = 0;
    for (let trial = 0; trial < 40; trial++) {
      const size = 2 + random.int(20);
      const labels = Int32Array.from({ length: size }, () => random.int(4));
      const embeddings = F.normalize(randn([size, 3]));
      const distances = distanceMatrix(embeddings);
      const margin = random.uniform(0.05, 0.5);
      const miner = new FlexibleTripletMiner({ positive, negative, margin, random });
      const { anchors, positives, negatives } = miner.mine(batchRows(embeddings, labels));
      for (let anchor = 0; anchor < size; anchor++) {
        const at = (image: number) => distances[anchor * size + image] as number;
        const own = [...labels.keys()].filter((i) => i !== anchor && labels[i] === labels[anchor]);
        const others = [...labels.keys()].filter((i) => labels[i] !== labels[anchor]);
        const tuple = anchors.indexOf(anchor);
        if (tuple === -1) {
          skipped++;
          // Only semihard negatives can be missing in spite of other classes.
          expect(own.length === 0 || others.length === 0 || negative === 'semihard').toBe(true);
          continue;
        }
        expect(anchors.lastIndexOf(anchor)).toBe(tuple);
        const [p, n] = [positives[tuple] as number, negatives[tuple] as number];
        expect(own).toContain(p);
        expect(others).toContain(n);
        chosen.positives.add([...own].sort((a, b) => at(a) - at(b)).indexOf(p) / Math.max(1, own.length - 1));
        if (positive === 'easy') expect(at(p)).toBe(Math.min(...own.map(at)));
        if (positive === 'hard') expect(at(p)).toBe(Math.max(...own.map(at)));
        if (negative === 'hard') expect(at(n)).toBe(Math.min(...others.map(at)));
        if (negative === 'semihard') {
          const allowed = others.map(at).filter((d) => d > at(p) && d < at(p) + margin);
          expect(at(n)).toBe(Math.min(...allowed));
        }
        chosen.negatives.add([...others].sort((a, b) => at(a) - at(b)).indexOf(n));
      }
    }
    expect(skipped).toBeGreaterThan(0);
    if (positive === 'random') expect(chosen.positives.size).toBeGreaterThan(3);
    if (negative === 'random') expect(chosen.negatives.size).toBeGreaterThan(10);
    if (negative === 'hard') expect(chosen.negatives).toEqual(new Set([0]));
  });

  it('skips an anchor without a semihard negative, and a batch of one class or of singles', () => {
    // On a line: the positive at 1, negatives at 0.5 (nearer) and 1.3 (farther by 0.3).
    const places = [0, 1, 0.5, 1.3];
    const distances = Float64Array.from(places.flatMap((a) => places.map((b) => Math.abs(a - b))));
    const of = (margin: number, labels: Int32Array) =>
      new FlexibleTripletMiner({
        positive: 'easy',
        negative: 'semihard',
        margin,
        random: new Random(0),
      }).choose(distances, labelled(labels));
    const labels = Int32Array.of(0, 0, 1, 2);
    expect([...of(0.4, labels).anchors]).toEqual([0]);
    expect([...of(0.4, labels).negatives]).toEqual([3]);
    expect(of(0.2, labels).anchors.length).toBe(0);
    expect(of(9, Int32Array.of(0, 0, 0, 0)).anchors.length).toBe(0);
    expect(of(9, Int32Array.of(0, 1, 2, 3)).anchors.length).toBe(0);
  });
});
