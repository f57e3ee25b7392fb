import { kMeans, Random } from '../../packages/conquer/dist/index.js';
import { readEmbeddings } from './embeddings.mjs';
import { memory, peakMemory, serve, sideArguments } from './side.mjs';

const { data, clusters } = sideArguments();
const x = readEmbeddings(data);
const before = memory();
let seed = 0;

await serve(() => {
  const { centroids, objective, iterations } = kMeans(x, Number(clusters), { random: new Random(seed++) });
  centroids.dispose();
  return { objective, iterations, extraBytes: peakMemory() - before };
});
