import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  Generator,
  liveTensors,
  manualSeed,
  numThreads,
  ones,
  randn,
  setNumThreads,
  type Tensor,
  tensor,
  zeros,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { kMeans } from './kmeans.js';

interface PeerCase {
  name: string;
  k: number;
  shape: number[];
  data: number[];
  meanObjective: number;
  bestObjective: number;
}
const peers: PeerCase[] = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../test/fixtures/peers.json', import.meta.url)), 'utf8'),
).kMeans;

describe('kMeans', () => {
  for (const peer of peers) {
    it(`is as good as scikit-learn on ${peer.name}`, () => {
      const x = tensor(Float64Array.from(peer.data), { shape: peer.shape });
      const objectives = Array.from(
        { length: 10 },
        (_, seed) => kMeans(x, peer.k, { random: new Random(seed) }).objective,
      );
      expect(objectives.reduce((a, b) => a + b) / 10).toBeLessThan(1.02 * peer.meanObjective);
      expect(Math.min(...objectives)).toBeLessThan(1.01 * peer.bestObjective);
    });
  }

  it('never raises the objective, and gives assignments and objective of the centroids it returns', () => {
    manualSeed(1);
    const x = randn([500, 5], { dtype: 'float64' });
    let last = Infinity;
    for (let maxIterations = 0; maxIterations < 12; maxIterations++) {
      const result = kMeans(x, 9, { random: new Random(3), maxIterations, init: 'random', tolerance: 0 });
      expect(result.objective).toBeLessThanOrEqual(last);
      last = result.objective;
      const gaps = x.unsqueeze(1).sub(result.centroids).square().sum(2);
      const { values, indices } = gaps.minDim(1);
      expect([...result.assignments]).toEqual([...indices.toNumbers()]);
      expect(result.objective).toBeCloseTo(values.sum().item(), 8);
    }
  });

  it('passes over no row whose nearest centroid changes: as plain Lloyd, iteration by iteration', () => {
    manualSeed(5);
    const n = 900;
    const centres = randn([60, 6], { dtype: 'float64' }).mul(3);
    const x = centres.repeat([n / 60, 1]).add(randn([n, 6], { dtype: 'float64' }));
    for (const k of [3, 30, 250]) {
      let centroids = x.narrow(0, 0, k).clone();
      for (let iterations = 1; iterations <= 25; iterations++) {
        const options = { random: new Random(0), centroids: x.narrow(0, 0, k), tolerance: 0 };
        const found = kMeans(x, k, { ...options, maxIterations: iterations });
        const nearest = (c: Tensor) => x.unsqueeze(1).sub(c).square().sum(2).minDim(1).indices;
        const clusters = nearest(centroids);
        const sums = zeros([k, 6], { dtype: 'float64' }).indexAdd_(0, clusters, x);
        const counts = zeros([k], { dtype: 'float64' });
        counts.indexAdd_(0, clusters, ones([n], { dtype: 'float64' }));
        expect(counts.min().item()).toBeGreaterThan(0);
        centroids = sums.div(counts.unsqueeze(1));
        expect([...found.assignments]).toEqual([...nearest(centroids).toNumbers()]);
        if (found.iterations < iterations) break;
      }
    }
  });

  it('finds separate groups whatever the start', () => {
    const x = tensor(Array.from({ length: 60 }, (_, i) => [10 * (i % 3) + 0.01 * i, i % 3 === 0 ? 5 : 0]));
    for (let seed = 0; seed < 5; seed++) {
      const { assignments } = kMeans(x, 3, { random: new Random(seed) });
      expect(new Set(assignments).size).toBe(3);
      for (let i = 3; i < 60; i++) expect(assignments[i]).toBe(assignments[i % 3]);
    }
  });

  it('takes columns of a transposed matrix as it takes a copy of them', () => {
    const x = randn([6, 300], { generator: new Generator(1) }).t();
    const [one, other] = [x, x.contiguous()].map((rows) => kMeans(rows, 5, { random: new Random(1) }));
    expect([...one!.assignments]).toEqual([...other!.assignments]);
  });

  it('is the same for the same seed, and another for another', () => {
    manualSeed(2);
    const x = randn([300, 4]);
    const run = (seed: number) => [...kMeans(x, 20, { random: new Random(seed) }).assignments];
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  it('moves a cluster that is empty to the row farthest from its centroid', () => {
    const x = tensor([[10], [11], [12], [17]]);
    const centroids = tensor([[11], [1e6]]);
    const result = kMeans(x, 2, { random: new Random(0), centroids, maxIterations: 1 });
    expect([...result.assignments]).toEqual([0, 0, 0, 1]);
    expect(result.centroids.toNumbers()[1]).toBe(17);
  });

  it('fills clusters from many different rows when there are more clusters than one by one', () => {
    manualSeed(4);
    const x = randn([3000, 8]);
    const plus = kMeans(x, 1200, { random: new Random(0), maxIterations: 3 });
    const random = kMeans(x, 1200, { random: new Random(0), maxIterations: 3, init: 'random' });
    expect(new Set(plus.assignments).size).toBe(1200);
    expect(plus.objective).toBeLessThan(random.objective);
  });

  it('ends where there are fewer different rows than clusters, and has one row in each if k = N', () => {
    const same = kMeans(tensor(new Float32Array(20).fill(1), { shape: [10, 2] }), 4, {
      random: new Random(0),
    });
    expect(same.iterations).toBeLessThan(100);
    expect(same.objective).toBeCloseTo(0, 6);
    const all = kMeans(randn([9, 2]), 9, { random: new Random(0) });
    expect([...all.assignments].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('keeps no tensor but the centroids', () => {
    const x = randn([100, 3]);
    const before = liveTensors();
    const { centroids } = kMeans(x, 5, { random: new Random(0) });
    expect(liveTensors()).toBe(before + 1);
    centroids.dispose();
  });

  it('refuses features that are not finite and more clusters than rows', () => {
    const random = new Random(0);
    expect(() => kMeans(tensor([[0], [NaN]]), 1, { random })).toThrow(/finite/);
    expect(() => kMeans(tensor([[0], [1]]), 3, { random })).toThrow(/1 to 2 clusters for 2 rows, got 3/);
  });

  it('chooses its start among a part of many rows, and finds the clusters all the same', () => {
    const centres = [0, 10, 20, 30, 40];
    const near = randn([25_000, 3], { generator: new Generator(1) }).mul(0.1);
    const rows = near.add(
      tensor(Float32Array.from({ length: 25_000 }, (_, i) => centres[i % 5] as number)).unsqueeze(1),
    );
    const before = liveTensors();
    const { assignments, centroids, objective } = kMeans(rows, 5, { random: new Random(2) });
    expect(liveTensors()).toBe(before + 1);
    expect(
      [...centroids.mean(1).toNumbers()].map((mean) => Math.abs(Math.round(mean))).sort((a, b) => a - b),
    ).toEqual(centres);
    expect(new Set(assignments).size).toBe(5);
    expect(objective).toBeCloseTo(near.square().sum().item(), -1);
  });

  it.each([1, 8, 9, 40, 257])('takes every row into account, and gives the means, of %i clusters', (k) => {
    const x = randn([1500, 21], { generator: new Generator(2) });
    const run = (rows: Tensor) => kMeans(rows, k, { random: new Random(1), init: 'random', tolerance: 0 });
    const [found, wanted] = [run(x), run(x.to({ dtype: 'float64' }))];
    expect(Math.abs(found.objective / wanted.objective - 1)).toBeLessThan(1e-2);
    const own = tensor(found.assignments, { dtype: 'int64' });
    const sums = zeros([k, 21], { dtype: 'float64' }).indexAdd_(0, own, x.to({ dtype: 'float64' }));
    const means = sums.div(own.bincount(k).to({ dtype: 'float64' }).unsqueeze(1));
    expect(means.sub(found.centroids).abs().max().item()).toBeLessThan(1e-6);
  });

  it('is the same for any number of threads', () => {
    const x = randn([5000, 70], { generator: new Generator(3) });
    const before = numThreads();
    const results = [1, 2, 3].map((threads) => {
      setNumThreads(threads);
      const { assignments, centroids, iterations } = kMeans(x, 12, { random: new Random(4) });
      return { assignments: [...assignments], centroids: [...centroids.toNumbers()], iterations };
    });
    setNumThreads(before);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('looks for centroids among a sample, and puts all rows to the nearest of them', () => {
    const x = randn([4000, 6], { generator: new Generator(7) });
    const run = (sample: number | null) => kMeans(x, 10, { random: new Random(1), sample });
    const [all, some] = [run(null), run(20)];
    const gaps = x.unsqueeze(1).sub(some.centroids).square().sum(2);
    expect([...some.assignments]).toEqual([...gaps.argmin(1).toNumbers()]);
    expect(some.objective).toBeCloseTo(gaps.amin(1).sum().item(), 0);
    // Means of 20 rows each are none of all.
    expect(some.objective).toBeGreaterThan(1.005 * all.objective);
    expect(some.objective).toBeLessThan(1.1 * all.objective);
    // As many rows as there are: all of them.
    expect([...run(400).assignments]).toEqual([...all.assignments]);
  });

  it('begins over all rows where it ended over a part of many', () => {
    const x = randn([60_000, 4], { generator: new Generator(8) });
    const plus = kMeans(x, 20, { random: new Random(1), maxIterations: 1 });
    const random = kMeans(x, 20, { random: new Random(1), maxIterations: 1, init: 'random' });
    const best = kMeans(x, 20, { random: new Random(1) });
    expect(best.objective).toBeLessThanOrEqual(plus.objective);
    expect(plus.objective).toBeLessThan(random.objective);
    // What one round over all rows leaves to win, of what the part has found already.
    expect(plus.objective).toBeLessThan(1.02 * best.objective);
    expect(random.objective).toBeGreaterThan(1.05 * best.objective);
  });
});
