// Maps of rows in the plane beside umap-learn's, by turns on two cores: time (beside it the processor's, which other work on the machine
// changes less), and what each keeps of the rows' neighbourhoods.
//
//   PYTHON=a venv with umap-learn: node bench/map.mjs [--rows 100000] [--dim 384] [--rounds 1] [--data FILE --labels FILE] [--ours]
//
// The rows are drawn around 2,000 centres (clustered-rows.mjs), their labels the centres; or float32 and int32 of files. What numba
// compiles, and the start of either program, are in no time. Of 2,000 rows: the share of their 15 nearest that are among their 15
// nearest on the map, and how many have the label that most of these 15 have there. --ours leaves umap-learn out.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensor } from '@conquer-dml/torch';
import { nearestNeighbours } from '../packages/conquer/dist/index.js';
import { rowsFile } from './clustered-rows.mjs';
import { commandLine } from './command-line.mjs';
import { startOurs, startPeer } from './sides.mjs';

const { values } = commandLine({
  rows: { type: 'number', default: 100_000 },
  dim: { type: 'number', default: 384 },
  rounds: { type: 'number', default: 1 },
  data: { type: 'file' },
  labels: { type: 'file' },
  ours: { type: 'boolean', default: false },
});
const [CENTRES, SEED, ASKED, K] = [2000, 2, 2000, 15];
const { dim } = values;
const data = values.data ?? rowsFile(join(tmpdir(), 'conquer-map'), values.rows, dim, SEED);
const numbers = (file, Kind) => {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  return new Kind(buffer, byteOffset, byteLength / 4);
};
const rows = numbers(data, Float32Array);
const count = rows.length / dim;
const labels = values.labels
  ? numbers(values.labels, Int32Array)
  : Int32Array.from({ length: count }, (_, i) => (i * 7919 + SEED) % CENTRES);
const asked = Int32Array.from({ length: Math.min(ASKED, count) }, (_, i) =>
  Math.floor((i * count) / Math.min(ASKED, count)),
);
const near = nearestOf(rows, dim);

const folder = mkdtempSync(join(tmpdir(), 'map-'));
try {
  const sides = [['ours', startOurs], ...(values.ours ? [] : [['umap-learn', startPeer]])];
  for (let round = 0; round < values.rounds; round++) {
    const took = [];
    for (const [name, start] of sides) {
      const out = join(folder, name);
      const side = await start('map', ['--data', data, '--dim', String(dim), '--out', out]);
      const answer = await side.run();
      await side.end();
      took.push(answer);
      const { kept, right } = quality(numbers(out, Float32Array));
      console.log(
        `${name}: ${count} × ${dim} in ${answer.seconds.toFixed(1)} s, ${answer.used.toFixed(1)} s of the processor; ${(100 * kept).toFixed(1)} % of 15 neighbours kept, ${(100 * right).toFixed(1)} % of the label of most`,
      );
    }
    if (took.length < 2) continue;
    const [a, b] = took;
    console.log(
      `ratio ${(a.seconds / b.seconds).toFixed(2)}, of the processor's time ${(a.used / b.used).toFixed(2)}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The 15 nearest of the rows that are asked for, without themselves. */
function nearestOf(all, width) {
  const some = Float32Array.from({ length: asked.length * width }, (_, i) => {
    return all[asked[Math.floor(i / width)] * width + (i % width)];
  });
  const gallery = tensor(all, { shape: [all.length / width, width] });
  const queries = tensor(some, { shape: [asked.length, width] });
  const { k, indices } = nearestNeighbours(queries, gallery, K + 1);
  gallery.dispose();
  queries.dispose();
  return Array.from(asked, (row, i) =>
    [...indices.subarray(i * k, (i + 1) * k)].filter((other) => other !== row).slice(0, K),
  );
}

function quality(points) {
  const onMap = nearestOf(points, 2);
  let [kept, right] = [0, 0];
  for (const [i, row] of asked.entries()) {
    const own = new Set(near[i]);
    kept += onMap[i].filter((other) => own.has(other)).length / K;
    const votes = new Map();
    for (const other of onMap[i]) votes.set(labels[other], (votes.get(labels[other]) ?? 0) + 1);
    const [most] = [...votes].sort(([, a], [, b]) => b - a)[0];
    right += Number(most === labels[row]);
  }
  return { kept: kept / asked.length, right: right / asked.length };
}
