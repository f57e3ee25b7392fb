// Evaluates embeddings that some other program made: recall, MAP@R, NMI, by exact neighbours.
// node examples/dist/evaluate-embeddings.js FILE.csv     (a line an image: its class, then its embedding's numbers)
import { readFileSync } from 'node:fs';
import { F, tensor } from '@conquer/torch';
import { evaluateEmbeddings } from 'conquer';

const [file = 'embeddings.csv'] = process.argv.slice(2);
const rows = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));

const names = [...new Set(rows.map(([name]) => name))];
const labels = Int32Array.from(rows, ([name]) => names.indexOf(name));
const numbers = Float32Array.from(rows.flatMap(([, ...embedding]) => embedding.map(Number)));

using embeddings = tensor(numbers, { shape: [rows.length, numbers.length / rows.length] });
// Neighbours are by Euclidean distance: with rows of length 1 that is the order of cosine similarity.
using normalized = F.normalize(embeddings);
const metrics = evaluateEmbeddings(normalized, labels, {
  recallAt: [1, 2, 4, 8],
  nmi: { seeds: [0, 1, 2] }, // the mean over three k-means
  extended: true,
});
console.log(JSON.stringify(metrics));
