// Evaluates embeddings that some other program made: recall, MAP@R, NMI, by exact neighbours.
// node examples/dist/evaluate-embeddings.js embeddings.csv     (a line an image: its class, then its embedding's numbers)
import { readFileSync } from 'node:fs';
import { evaluateEmbeddings } from 'conquer-dml';

const [file = 'embeddings.csv'] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));

// Rows are lists of numbers here; Float32Arrays, one Float32Array of all numbers, or a tensor will do as well.
const embeddings = lines.map(([, ...numbers]) => numbers.map(Number));
const labels = lines.map(([name = '']) => name);

const metrics = evaluateEmbeddings(embeddings, labels, {
  metric: 'cosine', // 'euclidean' if nothing is said
  nmi: { seeds: [0, 1, 2] }, // the mean over three k-means
  extended: true,
});
console.log(JSON.stringify(metrics));
