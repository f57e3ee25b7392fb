#!/usr/bin/env node
// docs/parity.md: pytorch-metric-learning and open-metric-learning name by name beside what is here, both run on the same rows.
//   PML_PYTHON=… OML_PYTHON=… node scripts/parity.mjs [--write]
// Each names a Python that has the package. A public name that has no row here, or a row for a name that is gone, is an error.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as conquer from '../packages/conquer/dist/index.js';
import { F, Generator, grad, randn, scope } from '../packages/torch/dist/index.js';
import { oml } from './parity/oml.mjs';
import { pml, pmlMetrics } from './parity/pml.mjs';
import { rules } from './parity/rules.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const CLASSES = 6;
const EACH = 6;
const DIM = 8;

const generator = new Generator(7);
const x = randn([CLASSES * EACH, DIM], { generator, dtype: 'float64' });
const rows = (of) => Array.from({ length: of.size(0) }, (_, i) => [...of.select(0, i).toNumbers()]);
const labels = Int32Array.from({ length: CLASSES * EACH }, (_, i) => Math.floor(i / EACH));
const shared = { x: rows(x), labels: [...labels], classes: CLASSES };
/** A triplet for each anchor, of the batch's hardest. */
const batch = conquer.batchRows(F.normalize(x), labels);
const mined = new conquer.BatchEasyHardMiner({ positive: 'hard', negative: 'hard' }).mine(batch, batch);
const tuples = [mined.anchors, mined.positives, mined.negatives].map((part) => [...part]);

function python(executable, script, args, input) {
  const { status, stdout, stderr, error } = spawnSync(executable, [here(`parity/${script}`), ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0)
    throw new Error(`${executable} ${script}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  return JSON.parse(stdout);
}

/** A loss as a case makes it, its weights drawn anew in float64 and told to the other side. */
function prepare(compared) {
  if (compared.kind !== 'loss')
    return { compared, request: { kind: compared.kind, make: compared.make, names: compared.names } };
  const one = compared
    .ours(conquer, { numClasses: CLASSES, embeddingDim: DIM, generator })
    .to({ dtype: 'float64' });
  const { weights } = compared;
  const request = {
    kind: 'loss',
    make: compared.make,
    tuples: compared.tuples,
    miner: compared.miner,
    unit: compared.unit,
  };
  if (weights) {
    const parameter = one[weights.ours];
    request.weights = {
      theirs: weights.theirs,
      transposed: weights.transposed,
      values: rows(parameter.detach().reshape([-1, DIM])),
    };
  }
  return { compared, loss: one, request };
}

const largest = (a, b) => {
  if (a.length !== b.length) throw new Error(`${a.length} numbers here, ${b.length} there`);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
};
const shown = (difference) => (difference === 0 ? '0' : difference.toExponential(1));

function ofLoss({ compared, loss }, answer) {
  return scope(() => {
    const leaf = x.clone().requiresGrad_();
    const of = { ...conquer.batchRows(F.normalize(leaf), labels), raw: leaf };
    const found = loss.usesTuples ? mined : null;
    const value = loss.forward(of, of, found);
    const minus = compared.minus?.(conquer).forward(of, of, null);
    const total = minus ? value.sub(minus) : value;
    const weights = compared.weights ? [loss[compared.weights.ours]] : [];
    const gradients = grad(total, [leaf, ...weights]).map((one) => [...one.reshape([-1]).toNumbers()]);
    const scale = Math.max(1, Math.abs(answer.value));
    const ofValue = Math.abs(total.item() - answer.value) / scale;
    const ofGradients = Math.max(...gradients.map((one, i) => largest(one, answer.gradients[i])));
    return `value ${shown(ofValue)}, gradient ${shown(ofGradients)}`;
  });
}

const sorted = (columns) =>
  Array.from(columns[0], (_, i) => columns.map((column) => column[i]).join(' ')).sort();
function ofMiner({ compared }, answer) {
  const found = compared.ours(conquer).mine(batch, batch);
  const pairs = (from, to) =>
    new Set(
      sorted([
        Array.from(from, (a, i) => Math.min(a, to[i])),
        Array.from(from, (a, i) => Math.max(a, to[i])),
      ]),
    );
  const lists =
    answer.length === 3 || (answer[0].join() === answer[2].join() && 'anchors' in found)
      ? [
          [conquer.asTuples(found)].map(
            ({ anchors, positives, negatives }) => new Set(sorted([anchors, positives, negatives])),
          ),
          [new Set(sorted([answer[0], answer[1], answer.at(-1)]))],
        ]
      : [conquer.asPairs(found)].map((own) => [
          [pairs(own.positiveAnchors, own.positives), pairs(own.negativeAnchors, own.negatives)],
          [pairs(answer[0], answer[1]), pairs(answer[2], answer[3])],
        ])[0];
  const [ours, theirs] = lists;
  const size = (sets) => sets.reduce((sum, { size }) => sum + size, 0);
  const common = ours.reduce((sum, set, i) => sum + [...set].filter((one) => theirs[i].has(one)).length, 0);
  return `${common} of ${size(theirs)} the same${size(ours) === size(theirs) ? '' : `, ${size(ours)} here`}`;
}

function ofMetrics(_, answer) {
  const names = Object.keys(answer).map((name) => pmlMetrics[name] ?? name);
  const measured = conquer.evaluateEmbeddings(F.normalize(x), labels, { metrics: names, recallAt: [1] });
  return Object.values(answer)
    .map((value, i) => {
      const name = names[i];
      if (!(name in measured)) throw new Error(`no metric ${name} among ${Object.keys(measured)}`);
      return `${name} ${shown(Math.abs(measured[name] - value))}`;
    })
    .join(', ');
}

const kinds = { loss: ofLoss, miner: ofMiner, metrics: ofMetrics };

function section(title, package_, executable, table) {
  const { version, names } = python(executable, 'names.py', [package_]);
  for (const [kind, all] of Object.entries(names)) {
    const known = Object.keys(table[kind] ?? {});
    const missing = all.filter((name) => !known.includes(name));
    const gone = known.filter((name) => !all.includes(name));
    if (missing.length + gone.length > 0)
      throw new Error(
        `${title}, ${kind}: without a row ${missing.join(', ') || 'none'}; not there any more ${gone.join(', ') || 'none'}`,
      );
  }
  const cases = new Map();
  for (const [kind, all] of Object.entries(table))
    for (const [name, { compared }] of Object.entries(all))
      if (compared) cases.set(`${kind}/${name}`, prepare(compared));
  const request = {
    ...shared,
    tuples,
    package: package_,
    cases: Object.fromEntries([...cases].map(([key, { request: one }]) => [key, one])),
  };
  const answers = python(executable, 'compare.py', [], JSON.stringify(request));
  const lines = [`## ${title} ${version}`, ''];
  for (const [kind, all] of Object.entries(table)) {
    lines.push(
      `### ${kind[0].toUpperCase()}${kind.slice(1)}`,
      '',
      '| there | here | how it differs | largest difference |',
      '| --- | --- | --- | --- |',
    );
    for (const [name, { here: ours, how }] of Object.entries(all)) {
      const key = `${kind}/${name}`;
      const answer = answers[key];
      if (answer?.error) throw new Error(`${title} ${name}: ${answer.error}`);
      const difference = answer ? kinds[cases.get(key).compared.kind](cases.get(key), answer) : '';
      lines.push(
        `| \`${name}\` | ${ours.map((one) => `\`${one}\``).join(', ') || '–'} | ${how} | ${difference} |`,
      );
    }
    lines.push('');
  }
  return lines;
}

const text = [
  '# Beside pytorch-metric-learning and open-metric-learning',
  '',
  '<!-- made by scripts/parity.mjs -->',
  'Every public class of the two, and what it is here. Where a difference stands, both computed the same rows in float64',
  `(${CLASSES} classes of ${EACH} images, ${DIM} dimensions; that of a value is divided by the value where this is above 1), and it is the largest over the value and`,
  'all gradients; of a miner, how many of its tuples or pairs are found here too. `node scripts/parity.mjs --write` with `PML_PYTHON` and',
  '`OML_PYTHON` repeats it, and fails where one of their names has no row.',
  '',
  'How memories, the gradient cache and plain gradient accumulation differ: [large-batches.md](large-batches.md).',
  '',
  ...section('pytorch-metric-learning', 'pytorch_metric_learning', process.env.PML_PYTHON ?? 'python3', pml),
  ...section('open-metric-learning', 'oml', process.env.OML_PYTHON ?? 'python3', oml),
  ...rules,
].join('\n');
if (process.argv.includes('--write')) writeFileSync(here('../docs/parity.md'), `${text.trimEnd()}\n`);
else console.log(text);
