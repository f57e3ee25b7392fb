import { liveTensors, manualSeed, randn, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { kMeans } from './clustering/kmeans.js';
import { divide } from './divide/division.js';
import { evaluateEmbeddings } from './evaluate/evaluate.js';
import { Interrupted } from './interrupted.js';
import { nearestNeighbours } from './neighbours/nearest.js';
import { Random } from './random.js';
import type { StopCheck } from './stop-check.js';

/** Says stop when it is asked for the n-th time. */
class AtThe implements StopCheck {
  asked = 0;
  constructor(private readonly n: number) {}
  get aborted(): boolean {
    return ++this.asked === this.n;
  }
}

const labels = Int32Array.from({ length: 600 }, (_, i) => i % 30);
type Rows = Record<'rows' | 'precise' | 'crowd', Tensor>;
const work: Record<string, (of: Rows, stop: StopCheck) => unknown> = {
  'k-means with a bound of every distance': ({ rows }, stop) =>
    void kMeans(rows, 40, { random: new Random(2), stop }).centroids.dispose(),
  'k-means in float64': ({ precise }, stop) =>
    void kMeans(precise, 40, { random: new Random(2), stop }).centroids.dispose(),
  'neighbours by blocks': ({ rows }, stop) => nearestNeighbours(rows, null, 9, { blockSize: 100, stop }),
  'neighbours by rows': ({ precise }, stop) => nearestNeighbours(precise, null, 9, { blockSize: 100, stop }),
  'neighbours in a crowd': ({ crowd }, stop) => nearestNeighbours(crowd, null, 9, { stop }),
  'all metrics': ({ rows }, stop) =>
    evaluateEmbeddings(rows, labels, { recallAt: [1, 2], blockSize: 100, extended: true, stop }),
  'all metrics in a crowd': ({ crowd }, stop) =>
    evaluateEmbeddings(crowd, labels, { recallAt: [1], extended: true, nmi: false, stop }),
  'a division by class': ({ rows }, stop) =>
    divide({
      features: rows,
      labels,
      previous: null,
      numClusters: 2,
      numLearners: 4,
      clusterBy: 'class',
      epoch: 0,
      random: new Random(2),
      stop,
    }),
};

it.each(Object.keys(work))('%s: ends wherever it is stopped, and keeps no tensor', (name) => {
  manualSeed(1);
  const rows = randn([600, 16]);
  const of = { rows, precise: rows.to({ dtype: 'float64' }), crowd: rows.mul(0).add(1) };
  const before = liveTensors();
  const all = new AtThe(Number.POSITIVE_INFINITY);
  work[name]!(of, all);
  expect(all.asked).toBeGreaterThan(5);
  for (let n = 1; n <= all.asked; n += Math.ceil(all.asked / 20)) {
    expect(() => work[name]!(of, new AtThe(n)), `stopped at ${n} of ${all.asked}`).toThrow(Interrupted);
    expect(liveTensors(), `stopped at ${n} of ${all.asked}`).toBe(before);
  }
});
