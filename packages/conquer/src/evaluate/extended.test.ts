import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { F, liveTensors, manualSeed, randn, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { classDistances } from './class-distances.js';
import { countRelevant } from './count-relevant.js';
import { meanAveragePrecision } from './mean-average-precision.js';
import { pairF1 } from './pair-f1.js';
import { singularValues, spectralDecay } from './spectral-decay.js';

// The collection's own numbers are in golden/golden.test.ts.

function sample(size: number, numClasses: number): { x: Tensor; labels: Int32Array } {
  manualSeed(7);
  const random = new Random(7);
  const labels = Int32Array.from({ length: size }, () => random.int(numClasses));
  return { x: randn([size, 5], { dtype: 'float64' }), labels };
}

describe('pairF1', () => {
  it('is 1 for the same partition under other names, or without a pair', () => {
    expect(pairF1(Int32Array.of(0, 0, 1, 1), Int32Array.of(5, 5, 3, 3))).toBe(1);
    expect(pairF1(Int32Array.of(0, 1, 2), Int32Array.of(2, 0, 1))).toBe(1);
  });

  it('counts pairs', () => {
    // Pairs of one class: 3 + 1; of one cluster: 1 + 3; of both: {0, 1} and {3, 4}.
    expect(pairF1(Int32Array.of(0, 0, 0, 1, 1), Int32Array.of(0, 0, 1, 1, 1))).toBeCloseTo(0.5, 14);
    expect(pairF1(Int32Array.of(0, 0, 1), Int32Array.of(0, 1, 1))).toBe(0);
    expect(() => pairF1(Int32Array.of(0), Int32Array.of(0, 1))).toThrow(
      /two labels for each item, got 1 and 2/,
    );
  });
});

describe('meanAveragePrecision', () => {
  const map = (
    x: Tensor,
    labels: Int32Array,
    depths: number[],
    options?: Parameters<typeof meanAveragePrecision>[4],
  ) =>
    meanAveragePrecision(x, labels, countRelevant(labels, options?.gallery?.labels ?? null), depths, options);

  it('equals a ranking of everything, at every depth, in blocks as in one', () => {
    const { x, labels } = sample(90, 6);
    const points = x.tolist() as number[][];
    const wanted = (depth: number) => {
      let total = 0;
      for (const [q, point] of points.entries()) {
        const distance = (g: number) =>
          point.reduce((sum, v, d) => sum + (v - ((points[g] as number[])[d] as number)) ** 2, 0);
        const order = points
          .map((_, g) => g)
          .filter((g) => g !== q)
          .sort((a, b) => distance(a) - distance(b));
        let hits = 0;
        let sum = 0;
        for (const [i, g] of order.slice(0, depth).entries()) {
          if (labels[g] === labels[q]) sum += ++hits / (i + 1);
        }
        const relevant = labels.filter((label) => label === labels[q]).length - 1;
        total += relevant > 0 ? sum / Math.min(relevant, depth) : 0;
      }
      return total / points.length;
    };
    const depths = [1, 5, 40, Number.POSITIVE_INFINITY];
    const got = map(x, labels, depths);
    const blocks = map(x, labels, depths, { blockSize: 7 });
    for (const [i, depth] of depths.entries()) {
      expect(got[i]).toBeCloseTo(wanted(depth), 12);
      expect(blocks[i]).toBeCloseTo(wanted(depth), 12);
    }
  });

  it('searches a gallery, which may lack a class', () => {
    const gallery = { embeddings: tensor([[1], [2], [3]]), labels: Int32Array.of(5, 4, 5) };
    // The first finds ranks 1 and 3, the second nothing.
    const [all] = map(tensor([[0], [0]]), Int32Array.of(5, 9), [Number.POSITIVE_INFINITY], { gallery });
    expect(all).toBeCloseTo((1 + 2 / 3) / 2 / 2, 6);
  });

  it('goes by places for embeddings that have collapsed, and is 1 for classes far apart', () => {
    const labels = Int32Array.from({ length: 40 }, (_, i) => i % 8);
    const collapsed = map(tensor(Array.from(labels, () => [1, 1])), labels, [1000, 3]);
    const byPlace = (depth: number) =>
      labels.reduce((total, label, query) => {
        const others = [...labels.keys()].filter((place) => place !== query);
        const ranks = others.flatMap((place, at) => (labels[place] === label ? [at + 1] : []));
        return total + ranks.reduce((sum, rank, i) => sum + (rank <= depth ? (i + 1) / rank : 0), 0);
      }, 0) / 40;
    expect(collapsed[0]).toBeCloseTo(byPlace(1000) / 4, 12);
    expect(collapsed[1]).toBeCloseTo(byPlace(3) / 3, 12);
    const apart = tensor(Array.from(labels, (label) => [10 * label, 0]));
    expect(map(apart, labels, [1000, 3])).toEqual([1, 1]);
    expect(map(tensor([[1, 2]]), Int32Array.of(0), [1])).toEqual([0]);
  });

  it('compat revisiting-dml counts the query into its class', () => {
    const labels = Int32Array.of(0, 0, 1, 1);
    const x = tensor([[0], [0.1], [5], [5.1]]);
    const relevant = countRelevant(labels, null, { compat: 'revisiting-dml' });
    expect([...relevant]).toEqual([2, 2, 2, 2]);
    expect(meanAveragePrecision(x, labels, relevant, [10])).toEqual([0.5]);
  });
});

describe('spectralDecay', () => {
  it('is 0 for equal singular values, and leaves out the largest', () => {
    const x = tensor([
      [3, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect([...singularValues(x)].map((v) => Number(v.toFixed(12)))).toEqual([3, 1, 1]);
    expect(spectralDecay(x, { skip: 1 })).toBeCloseTo(0, 12);
    const shares = [0.6, 0.2, 0.2];
    const kl = shares.reduce((sum, s) => sum + Math.log(1 / 3 / s) / 3, 0);
    expect(spectralDecay(x)).toBeCloseTo(kl, 12);
    expect(spectralDecay(x, { reverse: true })).toBeCloseTo(
      shares.reduce((sum, s) => sum + s * Math.log(3 * s), 0),
      12,
    );
  });

  it('is finite where dimensions are unused, and says when there is nothing', () => {
    const dead = spectralDecay(tensor([1, 0, 1, 0], { shape: [2, 2] }));
    expect(dead).toBeGreaterThan(5);
    expect(Number.isFinite(dead)).toBe(true);
    expect(() => spectralDecay(tensor([[0, 0]]))).toThrow(/expected embeddings other than 0/);
    expect(() => spectralDecay(tensor([[1, 0]]), { skip: 2 })).toThrow(/of more than 2 dimensions/);
  });

  it('sums over blocks of rows', () => {
    manualSeed(1);
    const x = randn([9000, 3]);
    const first = singularValues(x);
    const twice = singularValues(tensor([...x.toNumbers(), ...x.toNumbers()], { shape: [18000, 3] }));
    first.forEach((value, i) => {
      expect((twice[i] as number) / value).toBeCloseTo(Math.SQRT2, 5);
    });
  });
});

describeWithPython('spectralDecay', ['torch'], () => {
  it('has the singular values of PyTorch', () => {
    manualSeed(3);
    const x = F.normalize(randn([50, 7], { dtype: 'float64' }));
    const wanted = runPython('import torch\noutput = torch.linalg.svdvals(input["x"]).tolist()', {
      x,
    }) as number[];
    const got = singularValues(x);
    expect(got.length).toBe(7);
    wanted.forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 12);
    });
  });
});

describe('classDistances', () => {
  const degrees = (...angles: number[]) =>
    tensor(
      angles.map((a) => [2 * Math.cos((a * Math.PI) / 180), 2 * Math.sin((a * Math.PI) / 180)]),
      { dtype: 'float64' },
    );
  const cosine = (angle: number) => Math.cos((angle * Math.PI) / 180);

  it('are within pairs and between centres, whatever the lengths', () => {
    const { intra, inter } = classDistances(degrees(0, 60, 180, 200, 90), Int32Array.of(4, 4, 7, 7, 9));
    // Class 9 has one image. Centres at 30, 190 and 90 degrees.
    expect(intra).toBeCloseTo((1 - cosine(60) + 1 - cosine(20)) / 2, 12);
    expect(inter).toBeCloseTo(1 - (cosine(160) + cosine(60) + cosine(100)) / 3, 12);
  });

  it('are the same at every scale', () => {
    const classes = Int32Array.of(4, 4, 7, 7, 9);
    const wanted = classDistances(degrees(0, 60, 180, 200, 90), classes);
    for (const scale of [1e-20, 1e-30, 1e18]) {
      const found = classDistances(degrees(0, 60, 180, 200, 90).mul(scale), classes);
      expect(found.intra).toBeCloseTo(wanted.intra as number, 12);
      expect(found.inter).toBeCloseTo(wanted.inter as number, 12);
    }
  });

  it('are missing where there is no pair', () => {
    expect(classDistances(degrees(0, 90), Int32Array.of(0, 1))).toEqual({ intra: null, inter: 1 });
    expect(classDistances(degrees(0, 90), Int32Array.of(3, 3)).inter).toBe(null);
    expect(classDistances(degrees(0, 180), Int32Array.of(3, 3)).intra).toBeCloseTo(2, 12);
    // Centres of length 0 have no direction: at distance 1 from all.
    expect(classDistances(degrees(0, 180, 50), Int32Array.of(3, 3, 4)).inter).toBeCloseTo(1, 6);
  });

  it('keep no tensor', () => {
    const { x, labels } = sample(30, 4);
    const before = liveTensors();
    classDistances(x, labels);
    spectralDecay(x);
    meanAveragePrecision(x, labels, countRelevant(labels, null), [5]);
    expect(liveTensors()).toBe(before);
  });
});
