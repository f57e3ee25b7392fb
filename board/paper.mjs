// The paper's rows (arXiv 2109.04003, learned and fixed masks) from data and weights that one has: each is trained by its recipe, and stands beside what was published.
//   node board/paper.mjs DATA [--rows PATTERN] [--weights FILE] [--runs FOLDER] [--out FILE] [-- flags of conquer train for all rows]
// DATA holds the data sets' folders as docs/datasets.md has them. A row that was interrupted goes on where it was; a set that is not there is said to be missing.
// Writes docs/paper.md, or FILE.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine } from '../bench/command-line.mjs';
import { readRecipe } from '../packages/conquer/dist/index.js';
import { BOARD, machine, ROOT, readJson } from './places.mjs';

const SETS = {
  cub: 'CUB-200-2011',
  cars: 'Cars196',
  sop: 'Stanford Online Products',
  inshop: 'In-Shop Clothes',
  vid: 'PKU VehicleID, large test set',
};
const MASKS = { '': 'learned', '-fixed': 'fixed' };
const PROGRAM = join(ROOT, 'packages/conquer/bin/conquer.js');

const cut = process.argv.indexOf('--');
const own = cut < 0 ? [] : process.argv.slice(cut + 1);
const { values, positionals } = commandLine(
  {
    rows: { type: 'pattern', default: '' },
    weights: { type: 'string' },
    runs: { type: 'string', default: join(BOARD, 'paper') },
    out: { type: 'string', default: join(ROOT, 'docs/paper.md') },
  },
  ['[DATA]'],
  process.argv.slice(2, cut < 0 ? undefined : cut),
);
const [data] = positionals;
const weights = values.weights === undefined ? [] : ['--weights', values.weights];

/** Trains a row, or goes on with it. @returns {string | null} why it has no numbers */
function trained(recipe, run) {
  if (readJson(join(run, 'summary.json'))?.status === 'finished') return null;
  if (data === undefined) return 'not run: no data were given';
  const how = existsSync(join(run, 'config.json'))
    ? ['--resume', run]
    : [
        '--recipe',
        recipe,
        '--dataset-dir',
        data,
        '--runs-dir',
        values.runs,
        '--name',
        recipe,
        ...weights,
        ...own,
      ];
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, 'train', ...how], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return null;
  return `not run: ${stderr
    .trim()
    .split('\n')
    .at(-1)
    .replace(/^conquer: /, '')}`;
}

const percent = (value) => (value === undefined ? '–' : (100 * value).toFixed(1));
const lines = [];
const absent = [];
for (const [set, what] of Object.entries(SETS))
  for (const [suffix, masks] of Object.entries(MASKS)) {
    const recipe = `${set}${suffix}`;
    const run = join(values.runs, recipe);
    const name = `${what}, ${masks} masks`;
    const { published } = readRecipe(recipe);
    const names = Object.keys(published.metrics);
    const row = (numbers) => names.map((metric) => `${metric} ${percent(numbers[metric])}`).join(', ');
    const why = values.rows.test(recipe) ? trained(recipe, run) : notAsked(run);
    if (why !== null) {
      absent.push(`- ${name} (\`${recipe}\`): ${why}`);
      lines.push(`| ${name} | – | ${row(published.metrics)} | – |`);
      continue;
    }
    const told = execFileSync(process.execPath, [PROGRAM, 'eval', run, '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const { metrics, epoch } = JSON.parse(told);
    const away = names
      .map((metric) => `${(100 * (metrics[metric] - published.metrics[metric])).toFixed(1)}`)
      .join(', ');
    lines.push(`| ${name} | ${row(metrics)} (epoch ${epoch + 1}) | ${row(published.metrics)} | ${away} |`);
    console.log(`${recipe}: ours ${row(metrics)}; published ${row(published.metrics)}`);
  }

/** @returns {string | null} null for a run that there is from an earlier call */
function notAsked(run) {
  return readJson(join(run, 'summary.json'))?.status === 'finished' ? null : 'not run: not asked for';
}

const given = [...weights, ...own];
const { cpu, cores, date } = machine();
const text = [
  "# The paper's table",
  '',
  'Written by `node board/paper.mjs DATA`; do not edit. Each row is its recipe, trained once (seed 1, the best epoch by R@1 on the test classes), beside arXiv 2109.04003. In per cent; the last column is ours less theirs, in the same order.',
  ...(given.length > 0 ? ['', `Not the recipes as they are: all rows with \`${given.join(' ')}\`.`] : []),
  '',
  '| | ours | published | difference |',
  '| --- | --- | --- | --- |',
  ...lines,
  '',
  ...(absent.length < lines.length ? [`Machine: ${cpu}, ${cores} cores, ${date}.`, ''] : []),
  '## What was not run',
  '',
  ...(absent.length > 0
    ? [
        "The data sets are given out by their owners, some after a signature ([datasets.md](datasets.md)), and ResNet-50 starts from torchvision's ImageNet weights ([weights.md](weights.md)).",
        '',
        ...absent,
      ]
    : ['Nothing: all rows were.']),
  '',
].join('\n');
if (!existsSync(values.out) || readFileSync(values.out, 'utf8') !== text) writeFileSync(values.out, text);
console.log(values.out);
