// Single queries by an index's graph; `check`: the share of the exact ten nearest that is found.
import { readFileSync } from 'node:fs';
import { scope, tensor } from '@conquer-dml/torch';
import { ImageIndex } from '../../packages/conquer/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const COUNT = 1000;
const { index: path, queries: file, dim } = sideArguments();
const width = Number(dim);
const bytes = readFileSync(file);
const queries = tensor(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)).view([-1, width]);
const index = ImageIndex.open(path);
const exact = scope(() => index.search(queries.narrow(0, 0, COUNT), 10)).map(
  (matches) => new Set(matches.map(({ id }) => id)),
);

const work = () => {
  const found = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  scope(() => {
    for (let at = 0; at < COUNT; at++)
      found.push(index.search(queries.narrow(0, at, 1), 10, { approximate: true })[0]);
  });
  const seconds = (performance.now() - start) / 1000 / COUNT;
  const { user, system } = process.cpuUsage(cpu);
  const same = found.flatMap((matches, at) => matches.filter(({ id }) => exact[at].has(id)));
  return { seconds, processor: (user + system) / 1e6 / COUNT, recall: same.length / (10 * COUNT) };
};
// As a service that has answered for a while: JavaScript is compiled by then.
for (let turn = 0; turn < 3; turn++) work();
await serve(work);
