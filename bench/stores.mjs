// Stores of vectors, each filled with the same rows: how long that takes, how long a query takes, and how many of the nearest it finds.
//   node bench/stores.mjs --store lancedb --rows 100000 [--url postgres://…] [--write]
// --write keeps the figures in bench/stores.json, from where the table in docs/scale.md comes (npm run docs:tables -- --write).
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageIndex, StoreIndex } from 'conquer-dml';
import { clusteredRows } from './clustered-rows.mjs';
import { commandLine, refuse } from './command-line.mjs';

const { values } = commandLine({
  store: { type: 'string' },
  rows: { type: 'number', default: 100_000 },
  dim: { type: 'number', default: 384 },
  queries: { type: 'number', default: 100 },
  url: { type: 'string' },
  write: { type: 'boolean', default: false },
});
const { store, rows, dim, queries } = values;
const KINDS = ['usearch', 'lancedb', 'sqlite', 'pgvector'];
if (!KINDS.includes(store) || (store === 'pgvector') !== (values.url !== undefined)) {
  refuse(
    `expected --store ${KINDS.join(', ')}, the last with --url, got ${store ?? 'none'} ${values.url ?? ''}`,
  );
}

const folder = mkdtempSync(join(tmpdir(), 'conquer-stores-'));
const place =
  store === 'pgvector' ? `pgvector:${values.url}#bench_${rows}` : `${store}:${join(folder, 'index')}`;
const own = store === 'usearch';
const seconds = async (work) => {
  const start = performance.now();
  const made = await work();
  return [made, (performance.now() - start) / 1000];
};

const index = own ? ImageIndex.empty(dim) : await StoreIndex.openOrCreate(place, dim);
const fill = async () => {
  let done = 0;
  let pending = [];
  const flush = async () => {
    const count = pending.reduce((sum, some) => sum + some.length, 0) / dim;
    const all = new Float32Array(count * dim);
    let at = 0;
    for (const some of pending) {
      all.set(some, at);
      at += some.length;
    }
    const items = Array.from({ length: count }, (_, i) => ({
      id: `photos/${done + i}.jpg`,
      labels: `c${(done + i) % 100}`,
    }));
    await index.add(all, items);
    done += count;
    pending = [];
    console.error(`${done} rows`);
  };
  for (const some of clusteredRows(rows, dim, 0)) {
    pending.push(new Float32Array(some.toTypedArray()));
    some.dispose();
    if (pending.length === 6) await flush();
  }
  if (pending.length > 0) await flush();
  if (own) index.save(join(folder, 'index'));
};
const [, filled] = await seconds(fill);
const [, built] = await seconds(async () => {
  await index.buildGraph();
  if (own) index.save(join(folder, 'index'));
});

const asked = [...clusteredRows(queries, dim, 7)].map((some) => new Float32Array(some.toTypedArray()))[0];
const query = (at) => asked.subarray(at * dim, (at + 1) * dim);
const approximate = index.graph !== null;
const times = { exact: [], approximate: [] };
let found = 0;
for (let at = 0; at < queries; at++) {
  const [exact, first] = await seconds(() => index.search(query(at), 10));
  times.exact.push(first);
  const [near, second] = await seconds(() => index.search(query(at), 10, { approximate }));
  times.approximate.push(second);
  const ids = new Set(exact[0].map(({ id }) => id));
  found += near[0].filter(({ id }) => ids.has(id)).length;
}
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const size = (path) =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + size(join(path, name)), 0)
    : statSync(path).size;
const candidates = index.graph?.width ?? null;
if (own) index.dispose();
else await index.dispose();
const figures = {
  store,
  rows,
  dim,
  fillSeconds: filled,
  buildSeconds: built,
  exactMilliseconds: 1000 * median(times.exact),
  milliseconds: 1000 * median(times.approximate),
  recall: found / (10 * queries),
  candidates,
  megabytes: store === 'pgvector' ? null : size(folder) / 1e6,
  machine: `${cpus()[0].model}, ${availableParallelism()} processors`,
};
console.log(JSON.stringify(figures, null, 1));
rmSync(folder, { recursive: true, force: true });
if (values.write) {
  const path = new URL('./stores.json', import.meta.url);
  let all = [];
  try {
    all = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const others = all.filter((one) => one.store !== store || one.rows !== rows);
  const sorted = [...others, figures].sort(
    (a, b) => a.rows - b.rows || KINDS.indexOf(a.store) - KINDS.indexOf(b.store),
  );
  writeFileSync(path, `${JSON.stringify(sorted, null, 1)}\n`);
}
