// The division of a million embeddings of 128 into 32 clusters, as training does it, beside faiss.Kmeans on the same two threads.
//
//   node bench/division.mjs [--python PATH] [--rows 1000000] [--clusters 32] [--iterations 25]
//
// The embeddings are drawn (classes of 20 in 64 groups, rows of length 1). Ours is `divide` whole: k-means to convergence, whether each
// cluster can be learnt from, learners' numbers, images alone of their class; and of it k-means alone. faiss.Kmeans has all rows, the
// iterations given, and one search at its end, as ours has assignments. Beside the time stands the processor's.
import { spawnSync } from 'node:child_process';
import { commandLine } from './command-line.mjs';
import { synthesize } from './data.mjs';
import { readEmbeddings, readLabels } from './ours/embeddings.mjs';

const { values } = commandLine({
  python: { type: 'string' },
  rows: { type: 'number', default: 1_000_000 },
  clusters: { type: 'number', default: 32 },
  iterations: { type: 'number', default: 25 },
});
const { rows, clusters } = values;
const DIM = 128;

const faiss = `
import json, sys, time
import faiss, numpy
file, rows, clusters, iterations = sys.argv[1], *map(int, sys.argv[2:5])
faiss.omp_set_num_threads(2)
x = numpy.fromfile(file, dtype='float32').reshape(rows, ${DIM})
start, used = time.perf_counter(), time.process_time()
kmeans = faiss.Kmeans(${DIM}, clusters, niter=iterations, max_points_per_centroid=rows, seed=1)
kmeans.train(x)
distances, _ = kmeans.index.search(x, 1)
seconds, used = time.perf_counter() - start, time.process_time() - used
print(json.dumps({'seconds': seconds, 'used': used, 'objective': float(distances.sum(dtype='float64'))}))
`;

const data = await synthesize('million', rows, DIM, { classes: Math.ceil(rows / 20), unit: true, seed: 12 });
const { divide, kMeans, Random } = await import('conquer-dml');
const features = readEmbeddings(data.embeddings);
const labels = readLabels(data.labels);
const whole = timed(() =>
  divide({ features, labels, previous: null, numClusters: clusters, epoch: 0, random: new Random(1) }),
);
const alone = timed(() => kMeans(features, clusters, { random: new Random(1) }));
const { objective, iterations } = alone.value;
const peak = process.resourceUsage().maxRSS / 2 ** 20;
const shown = ({ seconds, used }) => `${seconds.toFixed(1)} s (${used.toFixed(1)} s of the processor)`;
console.log(
  `${rows.toLocaleString('en-US')} × ${DIM} into ${clusters}: divided in ${shown(whole)}, k-means alone in ${shown(alone)}, ${iterations} iterations, objective ${objective.toFixed(0)}, ${peak.toFixed(2)} GiB at most`,
);
if (values.python !== undefined) {
  const args = ['-c', faiss, data.embeddings, ...[rows, clusters, values.iterations].map(String)];
  const { stdout, stderr, status } = spawnSync(values.python, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const peer = JSON.parse(stdout);
  console.log(
    `faiss.Kmeans, ${values.iterations} iterations: ${shown(peer)}, objective ${peer.objective.toFixed(0)}`,
  );
}

function timed(work) {
  const [start, used] = [performance.now(), process.cpuUsage()];
  const value = work();
  const { user, system } = process.cpuUsage(used);
  return { value, seconds: (performance.now() - start) / 1000, used: (user + system) / 1e6 };
}
