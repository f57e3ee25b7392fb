// `fit` on folders of photos, and on the same features and splits the peers: PyTorch and pytorch-metric-learning, a linear layer of 512, multi-similarity or
// normalised softmax; and scikit-learn's logistic regression on the training classes, whose class scores are the embedding. Lengths, loss and C are
// chosen by the same held-out classes. Prints rows of docs/results.md:
//   PYTHON=… [VIEWS=4] [HEADS=linear,mlp,divided] node bench/fit-photos.mjs NAME=FOLDER …
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { photosOf, splitClasses } from '../packages/conquer/dist/fit/class-splits.js';
import { gainOf, mapAtRs, recalls, spreadOf } from '../packages/conquer/dist/fit/fit-report.js';
import { keepFeatures } from '../packages/conquer/dist/fit/keep-features.js';
import { fit as fitHeads, openFolder } from '../packages/conquer/dist/index.js';
import { preprocessingFor } from '../packages/conquer/dist/models/preprocessing.js';
import { openPretrained } from '../packages/conquer/dist/models/weights/pretrained.js';
import { commandLine, refuse } from './command-line.mjs';
import { PYTHON } from './sides.mjs';

const HEADS = (process.env.HEADS ?? 'linear,mlp,divided').split(',');
const VIEWS = Number(process.env.VIEWS ?? 4);
const THREADS = Number(process.env.OMP_NUM_THREADS ?? 2);
const SPLITS = 5;
const MODEL = 'tf_efficientnet_lite0.in1k';
const percent = ({ mean, error }) => `${(100 * mean).toFixed(1)} ± ${(100 * error).toFixed(1)}`;

/** The peer's scores on the features and splits of a folder, by the names of its heads. */
async function peer(folder) {
  const { train } = await openFolder({ folder, split: { kind: 'all' } });
  const { backbone, input, id } = await openPretrained(MODEL);
  const seen = preprocessingFor(input);
  const kept = await keepFeatures(backbone.eval(), train.paths, { id, seen, views: VIEWS, threads: THREADS });
  const counts = new Map();
  for (const label of train.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const paired = Int32Array.from([...counts].filter(([, n]) => n >= 2).map(([label]) => label)).sort();
  const temporary = mkdtempSync(join(tmpdir(), 'conquer-bench-'));
  try {
    writeFileSync(join(temporary, 'rows.f32'), kept.rows.toTypedArray());
    const splits = Array.from({ length: SPLITS }, (_, seed) => {
      const { fitted, validation, test } = splitClasses(paired, seed);
      const of = (classes) => {
        const { photos, labels } = photosOf(classes, train.labels, kept.bad);
        return { photos: [...photos], labels: [...labels] };
      };
      return { fit: of(fitted), val: of(validation), train: of([...fitted, ...validation]), test: of(test) };
    });
    const { photos, views } = kept;
    const shape = { photos, views, features: backbone.featureSize, threads: THREADS };
    writeFileSync(join(temporary, 'splits.json'), JSON.stringify({ ...shape, splits }));
    const script = join(dirname(fileURLToPath(import.meta.url)), 'peers/fit-photos.py');
    const ended = spawnSync(PYTHON, [script, temporary], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (ended.status !== 0) throw new Error('the peer ended without a result');
    return JSON.parse(ended.stdout);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

for (const argument of commandLine({}, ['NAME=FOLDER', '[…]']).positionals) {
  const [name, folder] = argument.split('=');
  if (!folder) refuse(`expected NAME=FOLDER, got ${argument}`);
  const runs = mkdtempSync(join(tmpdir(), 'conquer-bench-runs-'));
  const report = await fitHeads(
    { dataset: { name: 'folder', folder }, views: VIEWS, splits: SPLITS, heads: HEADS },
    { run: join(runs, 'run'), threads: THREADS, observer: { onWarning: (text) => console.error(text) } },
  );
  rmSync(runs, { recursive: true, force: true });
  const row = (head, scores) =>
    console.log(
      `| ${name} | ${head} | ${percent(spreadOf(recalls(scores)))} | ${percent(spreadOf(mapAtRs(scores)))} | ${percent(gainOf(mapAtRs(scores), mapAtRs(report.frozen.test)))} |`,
    );
  console.log(
    `${name}: ${report.photos} photos, ${report.classes} classes, ${VIEWS} views, ${JSON.stringify(report.seconds)}`,
  );
  console.log(
    `recommended ${report.recommended}, network ${report.network}, curve ${JSON.stringify(report.curve)}`,
  );
  row('frozen', report.frozen.test);
  for (const head of report.heads) row(`${head.name} (${head.epochs})`, head.test);
  row('chosen in each split', report.chosenInEach);
  for (const [head, scores] of Object.entries(await peer(folder))) row(`peer: ${head}`, scores);
}
