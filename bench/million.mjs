// A million embeddings of 384: the search of 10,000 queries beside faiss-cpu's IndexFlatL2 on the same two threads, by turns; with
// --whole, in the place of that, all of them (or --queries) evaluated: Recall@1…100 and MAP@R, or --metrics, with its time, the time left
// meanwhile, and the memory beside the embeddings.
//
//   node bench/million.mjs [--python PATH] [--rows 1000000] [--queries 10000] [--rounds 1] [--dim 384]
//   node bench/million.mjs --whole [--metrics R@1] [--rows 1000000] [--queries N] [--dim 384]
//
// The embeddings are drawn: rows of length 1, classes of ten around directions of their own, cosine 0.7 to these on average. The
// interpreter needs faiss-cpu and numpy; without one, that side is left out. Beside the time stands the processor's, which other work on
// the machine changes less.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine, refuse } from './command-line.mjs';

const { values } = commandLine({
  python: { type: 'string' },
  rows: { type: 'number', default: 1_000_000 },
  queries: { type: 'number' },
  rounds: { type: 'number', default: 1 },
  dim: { type: 'number', default: 384 },
  whole: { type: 'boolean', default: false },
  metrics: { type: 'string', default: 'usual' },
  side: { type: 'string' },
  folder: { type: 'string' },
});
const { rows, queries = values.whole ? rows : 10_000, rounds, dim: DIM, metrics } = values;
if (queries > rows) refuse(`--queries: expected at most the ${rows} rows, got ${queries}`);
const [OF_CLASS, K, THREADS] = [10, 100, 2];

const faiss = `
import json, sys, time
import faiss, numpy
folder, rows, queries = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
faiss.omp_set_num_threads(${THREADS})
index = faiss.IndexFlatL2(${DIM})
all = numpy.memmap(folder + '/rows', dtype='float32', mode='r', shape=(rows, ${DIM}))
index.add(numpy.ascontiguousarray(all))
asked = numpy.ascontiguousarray(all[:queries])
index.search(asked[:64], ${K})
start, used = time.perf_counter(), time.process_time()
distances, found = index.search(asked, ${K})
seconds, used = time.perf_counter() - start, time.process_time() - used
found.astype('int32').tofile(folder + '/faiss')
print(json.dumps({'seconds': seconds, 'used': used}))
`;

if (values.side === undefined) await main();
else await ours(values.side, values.folder);

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'million-'));
  try {
    await draw(join(folder, 'rows'));
    for (let round = 0; !values.whole && round < rounds; round++) {
      const own = side('search', folder);
      const ownRows = new Int32Array(readFileSync(join(folder, 'ours')).buffer);
      const line = `${queries.toLocaleString('en-US')} queries, ${rows.toLocaleString('en-US')} × ${DIM}, k ${K}: ours ${own.seconds.toFixed(1)} s (${own.used.toFixed(1)} s of the processor), ${own.beside.toFixed(2)} GiB beside the embeddings`;
      if (values.python === undefined) {
        console.log(line);
        continue;
      }
      const args = ['-c', faiss, folder, String(rows), String(queries)];
      const ran = spawnSync(values.python, args, {
        encoding: 'utf8',
        env: { ...process.env, OMP_NUM_THREADS: String(THREADS), OMP_WAIT_POLICY: 'passive' },
      });
      if (ran.status !== 0) throw new Error(ran.stderr);
      const { seconds, used } = JSON.parse(ran.stdout);
      const theirs = new Int32Array(readFileSync(join(folder, 'faiss')).buffer);
      let same = 0;
      for (let i = 0; i < theirs.length; i++) if (theirs[i] === ownRows[i]) same++;
      console.log(
        `${line}; faiss ${seconds.toFixed(1)} s (${used.toFixed(1)}); ratio ${(own.seconds / seconds).toFixed(2)} (${(own.used / used).toFixed(2)}); ${((100 * same) / theirs.length).toFixed(3)} % of the places the same`,
      );
    }
    if (values.whole) console.log(JSON.stringify(side('whole', folder)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function side(name, folder) {
  const given = [
    '--side',
    name,
    '--folder',
    folder,
    '--rows',
    String(rows),
    '--queries',
    String(queries),
    '--dim',
    String(DIM),
    '--metrics',
    metrics,
    ...(values.whole ? ['--whole'] : []),
  ];
  const ran = spawnSync(process.execPath, [import.meta.filename, ...given], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
  });
  if (ran.status !== 0) throw new Error(`${name}: ended with ${ran.status}`);
  return JSON.parse(ran.stdout);
}

/** In pieces, into a file of float32. */
async function draw(file) {
  const { F, manualSeed, noGrad, randn, scope, setNumThreads } = await import(
    '../packages/torch/dist/index.js'
  );
  setNumThreads(THREADS);
  manualSeed(1);
  const out = openSync(file, 'w');
  const classes = 5000;
  for (let start = 0; start < rows; start += classes * OF_CLASS) {
    const count = Math.min(classes * OF_CLASS, rows - start);
    const piece = scope(() =>
      noGrad(() => {
        const centres = F.normalize(randn([classes, 1, DIM]));
        const noise = F.normalize(randn([classes, OF_CLASS, DIM]), { dim: 2 });
        const drawn = F.normalize(centres.add(noise), { dim: 2 }).reshape([classes * OF_CLASS, DIM]);
        return drawn.narrow(0, 0, count).contiguous().toTypedArray();
      }),
    );
    writeSync(out, piece);
  }
}

async function ours(what, folder) {
  const { aten, setNumThreads } = await import('../packages/torch/dist/index.js');
  const { evaluateEmbeddings, nearestNeighbours } = await import('../packages/conquer/dist/index.js');
  const { progressBar } = await import('../packages/conquer/dist/cli/terminal.js');
  setNumThreads(THREADS);
  // Straight into a tensor: a JavaScript array of all would be a second copy, and would be counted as there before.
  const mapped = aten.from_file(join(folder, 'rows'), false, rows * DIM, 'float32');
  const all = mapped.clone().view([rows, DIM]);
  mapped.dispose();
  const gib = (name) =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 2 ** 20;
  writeFileSync('/proc/self/clear_refs', '5');
  const before = gib('VmRSS');
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const cpu = process.cpuUsage();
  const used = () => {
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / 1e6;
  };
  const result = {};
  if (what === 'search') {
    const found = nearestNeighbours(all.narrow(0, 0, queries), all, K);
    result.seconds = seconds();
    result.used = used();
    writeFileSync(join(folder, 'ours'), found.indices);
  } else {
    const labels = Int32Array.from({ length: rows }, (_, i) => Math.floor(i / OF_CLASS));
    const own = new Map(Array.from({ length: queries }, (_, row) => [row, [row]]));
    const isAll = queries === rows;
    result.metrics = evaluateEmbeddings(all.narrow(0, 0, queries), labels.subarray(0, queries), {
      ...(!isAll && { gallery: { embeddings: all, labels, own } }),
      recallAt: Array.from({ length: K }, (_, k) => k + 1),
      metrics: metrics.split(','),
      nmi: false,
      onProgress: progressBar(process.stderr, 'searching'),
    });
    result.seconds = seconds();
    result.used = used();
  }
  result.beside = gib('VmHWM') - before;
  console.log(JSON.stringify(result));
}
