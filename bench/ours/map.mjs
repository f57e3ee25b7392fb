import { readFileSync, writeFileSync } from 'node:fs';
import { tensor } from '@conquer-dml/torch';
import { mapRows } from '../../packages/conquer/dist/map/map-rows.js';
import { processorSeconds, serve, sideArguments } from './side.mjs';

const given = sideArguments();
const bytes = readFileSync(given.data);
const numbers = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const dim = Number(given.dim);
const rows = tensor(numbers, { shape: [numbers.length / dim, dim] });

serve(async () => {
  const before = processorSeconds();
  const { x, y } = await mapRows(rows);
  const used = processorSeconds() - before;
  writeFileSync(
    given.out,
    Float32Array.from({ length: 2 * x.length }, (_, i) => (i % 2 ? y : x)[i >> 1]),
  );
  return { used };
});
