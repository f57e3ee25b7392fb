import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { abortShared } from './shared-signal.js';

// In a thread like that of the training, long work that the main thread ends.

const dist = (path: string) => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));
const torch = fileURLToPath(new URL('../../../torch/dist/index.js', import.meta.url));

const program = (work: string) => `
const { parentPort, workerData } = require('node:worker_threads');
(async () => {
  const { manualSeed, randn, setNumThreads } = await import(${JSON.stringify(torch)});
  const { kMeans } = await import(${JSON.stringify(dist('clustering/kmeans.js'))});
  const { nearestNeighbours } = await import(${JSON.stringify(dist('neighbours/nearest.js'))});
  const { divide } = await import(${JSON.stringify(dist('divide/division.js'))});
  const { evaluateEmbeddings } = await import(${JSON.stringify(dist('evaluate/evaluate.js'))});
  const { Random } = await import(${JSON.stringify(dist('random.js'))});
  const { sharedSignal } = await import(${JSON.stringify(dist('cli/shared-signal.js'))});
  setNumThreads(1);
  manualSeed(1);
  const random = new Random(1);
  const stop = sharedSignal(workerData, parentPort);
  const x = randn([30_000, 512]);
  const labels = Int32Array.from({ length: 30_000 }, (_, i) => i % 5_000);
  parentPort.postMessage('begun');
  let ended = 'whole';
  try { ${work}; } catch (error) { ended = error.name + ': ' + error.message; }
  parentPort.postMessage(ended);
  parentPort.close();
})();
`;

const works = {
  'k-means of many clusters': 'kMeans(x, 5_000, { random, stop })',
  'k-means of few clusters': 'for (;;) kMeans(x, 100, { random, stop }).centroids.dispose()',
  'a division':
    'for (;;) divide({ features: x, labels, previous: null, numClusters: 4, numLearners: 16, epoch: 0, random, stop })',
  'a search for neighbours': 'for (;;) nearestNeighbours(x, null, 200, { stop })',
  'recall, MAP@R and NMI': 'evaluateEmbeddings(x, labels, { recallAt: [1, 1000], stop })',
  'all metrics': 'evaluateEmbeddings(x, labels, { recallAt: [1], nmi: false, extended: true, stop })',
};

it.each(Object.entries(works))(
  '%s of 30,000 × 512 ends soon after the signal, wherever it is',
  async (name, work) => {
    for (const after of [300, 1500, 4000]) {
      const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
      const worker = new Worker(program(work), { eval: true, workerData: stop });
      const took = await new Promise<number>((done, failed) => {
        let asked = 0;
        worker.on('error', failed);
        worker.on('message', (message: string) => {
          if (message === 'begun')
            setTimeout(() => {
              asked = performance.now();
              abortShared(stop, worker);
            }, after);
          else if (message.startsWith('Interrupted')) done(performance.now() - asked);
          else failed(new Error(`after ${after} ms: ${message}`));
        });
      });
      console.log(`${name}, asked after ${after} ms: ${took.toFixed(0)} ms`);
      // On a core of its own 0.2 s at most.
      expect(took).toBeLessThan(2000);
    }
  },
  120_000,
);
