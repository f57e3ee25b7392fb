// A million images as folders, a list, tar shards or Parquet: how long it takes to list and check them, to draw an epoch of batches, to go on
// in the middle of one, and the memory of it all; beside them Recall@1 of as many embeddings of 128, and their division into 32 clusters;
// and how all that grows.
//
//   node bench/million-images.mjs [--images 1000,10000,100000,1000000] [--kinds folder,csv,webdataset,parquet,recall,division] [--folder DIR] [--write]
//
// --write keeps the figures in bench/million-images.json, beside those of other sizes and kinds that are there, and draws all of it:
// docs/million-images.svg.
// The images are drawn: JPEGs of 8×8 pixels, each with a comment of its own, 20 of a class. They stay in DIR (by default a temporary
// folder that is removed). Each kind is measured in a process of its own, twice: a shard's first listing is kept for the next.
// Beside the time stands the processor's, which other work on the machine changes less.
import { spawnSync } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine, refuse } from './command-line.mjs';
import { logPlots } from './log-plot.mjs';

const KINDS = ['folder', 'csv', 'webdataset', 'parquet', 'recall', 'division'];
/** Of embeddings that are drawn: nothing is on the disk. */
const isDrawn = (kind) => kind === 'recall' || kind === 'division';
const { values } = commandLine({
  images: { type: 'string', default: '1000,10000,100000,1000000' },
  kinds: { type: 'string', default: KINDS.join(',') },
  folder: { type: 'string' },
  write: { type: 'boolean', default: false },
  side: { type: 'string' },
});
const unknown = values.kinds.split(',').filter((kind) => !KINDS.includes(kind));
if (unknown.length > 0) refuse(`no kind ${unknown.join(', ')}; they are ${KINDS.join(', ')}`);
/** Images of a class, of a shard, of a batch. */
const [OF_CLASS, OF_SHARD, BATCH] = [20, 1000, 80];
/** Of an embedding, and clusters that they are divided into. */
const [DIM, CLUSTERS] = [128, 32];

async function main() {
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'million-images-'));
  const rows = [];
  try {
    for (const count of values.images.split(',').map(Number)) {
      for (const kind of values.kinds.split(',')) {
        if (isDrawn(kind)) {
          const row = { kind, count, when: 'first', ...side(kind, String(count)) };
          rows.push(row);
          console.log(
            `${kind} of ${count.toLocaleString('en-US')} × ${DIM}: ${row.seconds.toFixed(2)} s (${row.used.toFixed(2)} s of the processor), ${row.mebibytes.toFixed(0)} MiB at most, of which ${row.before.toFixed(0)} are the program and the rows`,
          );
          continue;
        }
        const at = join(folder, `${kind === 'csv' ? 'folder' : kind}-${count}`);
        if (!existsSync(at)) await write[kind](at, count);
        const cache = mkdtempSync(join(tmpdir(), 'million-images-cache-'));
        for (const when of ['first', 'again']) {
          const row = { kind, count, when, ...side(kind, at, cache) };
          rows.push(row);
          console.log(
            `${count.toLocaleString('en-US')} as ${kind}, ${when}: listed and checked in ${row.list.toFixed(2)} s (${row.listUsed.toFixed(2)} s of the processor), an epoch drawn in ${row.sample.toFixed(2)} s, first batch from its middle after ${row.resume.toFixed(2)} s, ${row.mebibytes.toFixed(0)} MiB at most (${row.bytesEach.toFixed(0)} bytes an image beyond ${row.before.toFixed(0)} MiB)`,
          );
        }
        rmSync(cache, { recursive: true });
      }
    }
  } finally {
    if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
  }
  if (values.write) keep(rows);
}

function side(kind, folder, cache) {
  const args = [process.argv[1], '--side', kind, '--folder', folder];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...(cache && { CONQUER_CACHE: cache }) },
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

const peak = () => process.resourceUsage().maxRSS / 1024;

async function timed(work) {
  const [start, used] = [performance.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(used);
  return { value, seconds: (performance.now() - start) / 1000, used: (user + system) / 1e6 };
}

/** What was measured before, but for what was measured again; and the plot of it all. */
function keep(rows) {
  const path = new URL('./million-images.json', import.meta.url);
  const before = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : [];
  const isAgain = (old) =>
    rows.some((row) => ['kind', 'count', 'when'].every((key) => row[key] === old[key]));
  const all = [...before.filter((old) => !isAgain(old)), ...rows].sort(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.count - b.count,
  );
  writeFileSync(path, `${JSON.stringify(all, null, 1)}\n`);
  const panel = (title, y, value) => ({
    ...{ title, x: 'images', y },
    series: KINDS.map((kind) => ({
      name: kind,
      points: all
        .filter((row) => row.kind === kind && row.when === 'first')
        .map((row) => ({ x: row.count, y: value(row) })),
    })).filter(({ points }) => points.length > 0),
  });
  const plot = logPlots('Time and memory of an image against the number of images, both axes logarithmic', [
    panel(
      'Processor time, listing and an epoch’s batches',
      'microseconds an image',
      ({ count, used, listUsed, sampleUsed }) => (1e6 * (used ?? listUsed + sampleUsed)) / count,
    ),
    panel(
      'Most memory, with the program',
      'KiB an image',
      ({ count, mebibytes }) => (1024 * mebibytes) / count,
    ),
  ]);
  writeFileSync(new URL('../docs/million-images.svg', import.meta.url), plot);
}

/** Of rows of length 1, classes of 20 around directions of their own. */
async function measureRows(kind, count) {
  const { F, manualSeed, noGrad, randn, scope, setNumThreads } = await import('@conquer-dml/torch');
  const { divide, evaluateEmbeddings, Random } = await import('conquer-dml');
  setNumThreads(2);
  manualSeed(1);
  const features = scope(() =>
    noGrad(() => {
      const centres = randn([count / OF_CLASS, 1, DIM]);
      return F.normalize(randn([count / OF_CLASS, OF_CLASS, DIM]).add(centres), { dim: 2 }).reshape([
        count,
        DIM,
      ]);
    }),
  );
  const labels = Int32Array.from({ length: count }, (_, i) => Math.floor(i / OF_CLASS));
  const before = peak();
  const given = { features, labels, previous: null, numClusters: CLUSTERS, epoch: 0, random: new Random(1) };
  const { seconds, used } = await timed(() =>
    kind === 'division'
      ? divide(given)
      : evaluateEmbeddings(features, labels, { recallAt: [1], metrics: ['usual'], nmi: false }),
  );
  return { seconds, used, mebibytes: peak(), before };
}

async function measure(kind, folder) {
  const { openDataset, AdaptiveClassBalancedSampler, Random } = await import('conquer-dml');
  const { ImageFiles } = await import('@conquer-dml/image');
  const before = peak();
  const list = await timed(() =>
    openDataset(kind, {
      ...(kind === 'csv' ? { file: join(folder, 'list.csv') } : { folder }),
      everyClass: true,
    }),
  );
  const { train } = list.value;
  const { labels, paths } = train;
  const draw = () => [
    ...new AdaptiveClassBalancedSampler({ labels, batchSize: BATCH, random: new Random(1) }),
  ];
  const sample = await timed(() => draw());
  const resume = await timed(async () => {
    const images = new ImageFiles(paths);
    const batches = draw();
    const indices = batches[batches.length >> 1];
    await images.sizes(indices);
    await images.read(
      Array.from(indices, (index) => ({ index, size: { width: 8, height: 8 } })),
      new Uint8Array(indices.length * 192),
    );
  });
  const mebibytes = peak();
  return {
    list: list.seconds,
    listUsed: list.used,
    sample: sample.seconds,
    sampleUsed: sample.used,
    resume: resume.seconds,
    mebibytes,
    before,
    bytesEach: ((mebibytes - before) * 2 ** 20) / paths.length,
  };
}

/** The JPEG of number n: 8×8 pixels and a comment. */
let plain;
async function jpeg(n) {
  if (!plain) {
    const { default: sharp } = await import('sharp');
    plain = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#38a' } })
      .jpeg()
      .toBuffer();
  }
  const comment = Buffer.from([0xff, 0xfe, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
  comment.writeUInt32BE(n, 8);
  return Buffer.concat([plain.subarray(0, 2), comment, plain.subarray(2)]);
}

function tarFile(name, bytes) {
  const blocks = Buffer.alloc(512 + Math.ceil(bytes.length / 512) * 512);
  blocks.write(name, 0);
  blocks.write('0000644\0', 100);
  blocks.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  blocks.write('0', 156);
  blocks.write('ustar\x0000', 257, 'latin1');
  blocks.fill(' ', 148, 156);
  const sum = blocks.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  blocks.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  bytes.copy(blocks, 512);
  return blocks;
}

const classOf = (n) => `c${String(Math.floor(n / OF_CLASS)).padStart(6, '0')}`;

const write = {
  async folder(folder, count) {
    mkdirSync(folder, { recursive: true });
    const list = createWriteStream(join(folder, 'list.csv'));
    for (let n = 0; n < count; n++) {
      if (n % OF_CLASS === 0) mkdirSync(join(folder, classOf(n)));
      writeFileSync(join(folder, classOf(n), `${n}.jpg`), await jpeg(n));
      if (!list.write(`${classOf(n)}/${n}.jpg,${classOf(n)}\n`))
        await new Promise((done) => list.once('drain', done));
    }
    await new Promise((done) => list.end(done));
  },
  csv: (folder, count) => write.folder(folder, count),
  async webdataset(folder, count) {
    mkdirSync(folder, { recursive: true });
    for (let first = 0; first < count; first += OF_SHARD) {
      const parts = [];
      for (let n = first; n < first + OF_SHARD; n++) {
        const key = String(n).padStart(8, '0');
        parts.push(tarFile(`${key}.cls`, Buffer.from(classOf(n))), tarFile(`${key}.jpg`, await jpeg(n)));
      }
      const name = `shard-${String(first / OF_SHARD).padStart(4, '0')}.tar`;
      writeFileSync(join(folder, name), Buffer.concat([...parts, Buffer.alloc(1024)]));
    }
  },
  async parquet(folder, count) {
    const { parquetWriteFile } = await import('hyparquet-writer');
    mkdirSync(folder, { recursive: true });
    const each = 10 * OF_SHARD;
    for (let first = 0; first < count; first += each) {
      const numbers = Array.from({ length: Math.min(each, count - first) }, (_, i) => first + i);
      const images = [];
      for (const n of numbers) images.push(await jpeg(n));
      parquetWriteFile({
        filename: join(folder, `part-${String(first / each).padStart(4, '0')}.parquet`),
        columnData: [
          { name: 'image', data: images, type: 'BYTE_ARRAY' },
          { name: 'label', data: numbers.map(classOf), type: 'STRING' },
        ],
        rowGroupSize: OF_SHARD,
      });
    }
  },
};

if (values.side === undefined) await main();
else {
  const measured = isDrawn(values.side)
    ? measureRows(values.side, Number(values.folder))
    : measure(values.side, values.folder);
  console.log(JSON.stringify(await measured));
}
