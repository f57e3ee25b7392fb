import { kMeans, normalizedMutualInformation, Random } from '../../packages/conquer/dist/index.js';
import { readEmbeddings, readLabels } from './embeddings.mjs';
import { memory, peakMemory, serve, sideArguments } from './side.mjs';

const { data, labels, clusters } = sideArguments();
const x = readEmbeddings(data);
const classes = readLabels(labels);
const before = memory();

await serve(() => {
  const { centroids, assignments, objective, iterations } = kMeans(x, Number(clusters), {
    random: new Random(0),
  });
  centroids.dispose();
  const nmi = normalizedMutualInformation(classes, assignments);
  return { objective, iterations, nmi, extraBytes: peakMemory() - before };
});
