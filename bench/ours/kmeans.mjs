import { kMeans, Random } from '../../packages/conquer/dist/index.js';
import { readEmbeddings } from './embeddings.mjs';
import { memory, peakMemory, serve, sideArguments } from './side.mjs';

// `iterations`: so many from k random rows, as faiss's; else to convergence.
const { data, clusters, iterations: rounds } = sideArguments();
const options = rounds ? { init: 'random', maxIterations: Number(rounds), tolerance: 0 } : {};
const x = readEmbeddings(data);
const before = memory();
let seed = 0;

await serve(() => {
  const { centroids, objective, iterations } = kMeans(x, Number(clusters), {
    random: new Random(seed++),
    ...options,
  });
  centroids.dispose();
  return { objective, iterations, extraBytes: peakMemory() - before };
});
