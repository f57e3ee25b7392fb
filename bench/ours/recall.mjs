import { evaluateEmbeddings } from '../../packages/conquer/dist/index.js';
import { readEmbeddings, readLabels } from './embeddings.mjs';
import { memory, peakMemory, serve, sideArguments } from './side.mjs';

const { queries, labels, gallery, 'gallery-labels': galleryLabels } = sideArguments();
const embeddings = readEmbeddings(queries);
const queryLabels = readLabels(labels);
const options = {
  recallAt: [1, 10, 100, 1000],
  nmi: false,
  ...(gallery && { gallery: { embeddings: readEmbeddings(gallery), labels: readLabels(galleryLabels) } }),
};
const before = memory();

await serve(() => {
  const metrics = evaluateEmbeddings(embeddings, queryLabels, options);
  const names = [...options.recallAt.map((k) => `R@${k}`), 'MAP@R'];
  const check = Object.fromEntries(names.map((name) => [name, metrics[name]]));
  return { check, extraBytes: peakMemory() - before };
});
