import { readFileSync, statSync } from 'node:fs';
import { aten, scope, tensor } from '@conquer-dml/torch';
import { ImageIndex } from '../../packages/conquer/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const { index: path, data, queries: file, dim } = sideArguments();
const width = Number(dim);
const bytes = readFileSync(file);
const queries = tensor(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)).view([-1, width]);
const numbers = statSync(data).size / 4;
const rows = aten.from_file(data, false, numbers, 'float32').view([-1, width]);
const index = ImageIndex.open(path);
let turn = 0;

await serve(() => {
  const timed = (work) => {
    const start = performance.now();
    scope(work);
    return (performance.now() - start) / 1000;
  };
  const first = (256 + turn++) % 1000;
  const sum = timed(() => rows.sum().item());
  const one = timed(() => index.search(queries.narrow(0, first, 1), 10));
  let matches = [];
  const batch = timed(() => {
    matches = index.search(queries.narrow(0, 0, 256), 10);
  });
  const check = matches.flat().reduce((total, { id }) => total + Number(/\d+/.exec(id)), 0);
  return { sum, one, batch, check };
});
