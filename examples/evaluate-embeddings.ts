// Evaluates embeddings that some other program made: recall, MAP@R, NMI, by exact neighbours.
// node examples/dist/evaluate-embeddings.js FILE.csv     (a line an image: its class, then its embedding's numbers)
import { readFileSync } from 'node:fs';
import { evaluateEmbeddings } from 'conquer-dml';

const [file = 'embeddings.csv'] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));

const names = [...new Set(lines.map(([name]) => name))];
const labels = lines.map(([name]) => names.indexOf(name));
// Neighbours are by Euclidean distance: with rows of length 1 that is the order of cosine similarity.
const embeddings = lines.map(([, ...numbers]) => {
  const row = numbers.map(Number);
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
});

const metrics = evaluateEmbeddings(embeddings, labels, {
  nmi: { seeds: [0, 1, 2] }, // the mean over three k-means
  extended: true,
});
console.log(JSON.stringify(metrics));
