// hnswlib-node, single queries, with the least ef that finds a share of the exact ten nearest. It is installed where HNSWLIB says.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { scope, tensor } from '@conquer-dml/torch';
import { ImageIndex } from '../../packages/conquer/dist/index.js';
import { WIDTHS } from '../candidates.mjs';
import { serve, sideArguments } from './side.mjs';

const COUNT = 1000;
const { index: path, data, queries: file, dim, recall: wanted } = sideArguments();
const width = Number(dim);
const read = (name) => {
  const bytes = readFileSync(name);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};
const { default: hnswlib } = await import(createRequire(`${process.env.HNSWLIB}/`).resolve('hnswlib-node'));
const rows = read(data);
const count = rows.length / width;
const graph = new hnswlib.HierarchicalNSW('cosine', width);
graph.initIndex(count, 16, 128);
// It takes plain arrays alone.
for (let row = 0; row < count; row++) graph.addPoint([...rows.subarray(row * width, (row + 1) * width)], row);
const asked = read(file);
const queries = Array.from({ length: COUNT }, (_, at) => [...asked.subarray(at * width, (at + 1) * width)]);
const index = ImageIndex.open(path);
const exact = scope(() =>
  index.search(tensor(asked.subarray(0, COUNT * width)).view([COUNT, width]), 10),
).map((matches) => new Set(matches.map(({ id }) => Number(/\d+/.exec(id)))));
index.dispose();
const found = () => queries.map((query) => graph.searchKnn(query, 10).neighbors);
const recallOf = (all) =>
  all.flatMap((rows, at) => rows.filter((row) => exact[at].has(row))).length / (10 * COUNT);
const ef = WIDTHS.find((candidates) => {
  graph.setEf(candidates);
  return candidates === WIDTHS.at(-1) || recallOf(found()) >= Number(wanted);
});

await serve(() => {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const all = found();
  const seconds = (performance.now() - start) / 1000 / COUNT;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, processor: (user + system) / 1e6 / COUNT, recall: recallOf(all), width: ef };
});
