// An index of a million rows of 384 numbers: opened, changed, and searched exactly, beside one sum over the same bytes and
// faiss's IndexFlatIP; with --approximate by a graph instead, beside faiss's HNSW, and hnswlib-node where HNSWLIB names a folder that it
// is installed in. Not part of npm test: it takes 6 GB of memory, 5 GB of disk and some minutes.
//   PYTHON=… node bench/index.mjs [--rows 1000000] [--folder /tmp/conquer-bench] [--turns 7] [--approximate]
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aten } from '@conquer-dml/torch';
import { ImageIndex } from '../packages/conquer/dist/index.js';
import { WIDTHS } from './candidates.mjs';
import { rowsFile } from './clustered-rows.mjs';
import { commandLine } from './command-line.mjs';
import { median, startOurs, startPeer } from './sides.mjs';

const DIM = 384;
const RECALLS = [0.99, 0.995];
const { values } = commandLine({
  rows: { type: 'number', default: 1_000_000 },
  folder: { type: 'string', default: '/tmp/conquer-bench' },
  turns: { type: 'number', default: 7 },
  approximate: { type: 'boolean', default: false },
});
const count = values.rows;
const path = join(values.folder, `clustered-${count}.index`);
const data = rowsFile(values.folder, count, DIM, 1);
const queries = rowsFile(values.folder, 1024, DIM, 2);
const say = (line) => console.log(line);
const seconds = (work) => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

if (!statSync(path, { throwIfNoEntry: false })) {
  const rows = aten.from_file(data, false, count * DIM, 'float32').view([count, DIM]);
  const items = Array.from({ length: count }, (_, i) => ({ id: `photos/${i}.jpg` }));
  const index = ImageIndex.of(rows, items);
  say(`written in ${seconds(() => index.save(path)).toFixed(1)} s`);
  index.dispose();
  rows.dispose();
}

const args = ['--index', path, '--data', data, '--queries', queries, '--dim', String(DIM)];

if (values.approximate) await approximately();
else await exactly();

async function exactly() {
  const opened = [];
  for (let turn = 0; turn < 9; turn++) {
    let index;
    opened.push(
      seconds(() => {
        index = ImageIndex.open(path);
      }),
    );
    index.dispose();
  }
  say(`opened in ${(1000 * median(opened)).toFixed(1)} ms`);

  const sizes = () => new Map(readdirSync(path).map((name) => [name, statSync(join(path, name)).size]));
  const written = (change) => {
    const before = sizes();
    const took = seconds(change);
    let bytes = 0;
    for (const [name, size] of sizes()) if (!before.has(name) || name === 'manifest.json') bytes += size;
    return `${bytes} bytes in ${(1000 * took).toFixed(0)} ms`;
  };
  {
    const index = ImageIndex.open(path);
    const row = new Float32Array(DIM).fill(1);
    say(
      `added one item: ${written(() => {
        index.add(row, [{ id: 'new' }]);
        index.save(path);
      })}`,
    );
    say(
      `removed one of the million: ${written(() => {
        index.remove(['photos/17.jpg']);
        index.save(path);
      })}`,
    );
    index.remove(['new']);
    index.save(path);
    index.dispose();
  }

  const sides = { ours: await startOurs('index', args), faiss: await startPeer('index', args) };
  const times = { sum: [], one: [], batch: [], faissOne: [], faissBatch: [] };
  let [ours, faiss] = [null, null];
  for (let turn = 0; turn < values.turns; turn++) {
    ours = await sides.ours.run();
    faiss = await sides.faiss.run();
    for (const key of ['sum', 'one', 'batch']) times[key].push(ours[key]);
    times.faissOne.push(faiss.one);
    times.faissBatch.push(faiss.batch);
  }
  for (const side of Object.values(sides)) await side.end();
  const ratios = (a, b) => median(times[a].map((time, turn) => time / times[b][turn])).toFixed(2);
  const ms = (key) => `${(1000 * median(times[key])).toFixed(1)} ms`;
  say(
    `a sum over the rows ${ms('sum')}, one query ${ms('one')}: ${ratios('one', 'sum')} times (at most 1.3)`,
  );
  say(`faiss IndexFlatIP, one query ${ms('faissOne')}: ours ${ratios('one', 'faissOne')} times`);
  say(
    `256 queries ${ms('batch')}, faiss ${ms('faissBatch')}: ${ratios('batch', 'faissBatch')} times (at most 0.8)`,
  );
  say(`the same are found: ${ours.check === faiss.check} (${ours.check}, ${faiss.check})`);
}

async function approximately() {
  const index = ImageIndex.open(path);
  if (index.graph === null) {
    const cpu = process.cpuUsage();
    const took = seconds(() => index.buildGraph({ recall: 0.99 }));
    const { user, system } = process.cpuUsage(cpu);
    say(`graph built in ${took.toFixed(0)} s, ${((user + system) / 1e6).toFixed(0)} s of the processors`);
    index.save(path);
  }
  const { graph } = index;
  say(
    `its graph: ${graph.connectivity} neighbours a row, ${graph.width} candidates, recall@10 ${graph.recall.toFixed(4)}`,
  );
  index.dispose();
  const ours = await startOurs('approximate', args);
  const shown = (runs, key) => `${(1000 * median(runs.map((one) => one[key]))).toFixed(2)} ms`;
  const line = (runs) =>
    `${shown(runs, 'seconds')} (${shown(runs, 'processor')} of the processor), recall@10 ${runs[0].recall.toFixed(4)}`;
  const asBuilt = [];
  for (let turn = 0; turn < values.turns; turn++) asBuilt.push(await ours.run());
  await ours.end();
  say(`a query by the graph ${line(asBuilt)}`);
  for (const recall of RECALLS) await atRecall(recall, line);
}

/** All sides with the fewest candidates that find a share of the ten nearest. */
async function atRecall(recall, line) {
  const least = await leastOf(recall);
  const wanted = [...args, '--recall', String(recall)];
  const peers = { 'faiss HNSW': await startPeer('approximate', wanted) };
  if (process.env.HNSWLIB) peers['hnswlib-node'] = await startOurs('hnswlib', wanted);
  const taken = { ours: [], ...Object.fromEntries(Object.keys(peers).map((name) => [name, []])) };
  for (let turn = 0; turn < values.turns; turn++)
    for (const [name, side] of Object.entries({ ours: least.side, ...peers }))
      taken[name].push(await side.run());
  for (const side of [least.side, ...Object.values(peers)]) await side.end();
  say(`the fewest that find ${recall}: ${least.width} candidates, ${line(taken.ours)}`);
  for (const name of Object.keys(peers)) {
    const ratio = (key) =>
      median(taken.ours.map((one, turn) => one[key] / taken[name][turn][key])).toFixed(2);
    say(
      `  ${name}, ${taken[name][0].width}: ${line(taken[name])}: ours ${ratio('seconds')} times (${ratio('processor')} of the processor)`,
    );
  }
}

/** Ours with the fewest candidates that find a share, as the others are asked for it: on the same files, with another width. */
async function leastOf(recall) {
  const folder = `${path}.narrow`;
  for (const width of WIDTHS) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const name of readdirSync(path))
      if (name !== 'manifest.json') linkSync(join(path, name), join(folder, name));
    const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'));
    manifest.graph.width = width;
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    const side = await startOurs('approximate', ['--index', folder, ...args.slice(2)]);
    if (width === WIDTHS.at(-1) || (await side.run()).recall >= recall) return { side, width };
    await side.end();
  }
}
