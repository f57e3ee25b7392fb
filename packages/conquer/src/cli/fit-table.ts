import Table from 'cli-table3';
import { isSaturated } from '../evaluate/saturated.js';
import {
  type FitReport,
  gainOf,
  type HeadResult,
  mapAtRs,
  recalls,
  type Spread,
  spreadOf,
} from '../fit/fit-report.js';
import { BUILT_IN } from '../models/weights/built-in.js';

const percent = ({ mean, error }: Spread) => `${(100 * mean).toFixed(1)} ± ${(100 * error).toFixed(1)}`;
const signed = (spread: Spread) => `${spread.mean < 0 ? '' : '+'}${percent(spread)}`;

/** A row for the frozen network and each head: in per cent, mean and standard error over splits. */
export function fitTable({ frozen, heads, chosenInEach }: FitReport): string {
  const table = new Table({
    head: ['', 'Recall@1', 'MAP@R', 'above frozen', 'held-out MAP@R'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  const row = ({ name, test, validation }: HeadResult) => [
    name,
    percent(spreadOf(recalls(test))),
    percent(spreadOf(mapAtRs(test))),
    name === 'frozen' ? '' : signed(gainOf(mapAtRs(test), mapAtRs(frozen.test))),
    percent(spreadOf(mapAtRs(validation))),
  ];
  for (const result of [frozen, ...heads]) table.push(row(result));
  table.push([
    'chosen in each split',
    percent(spreadOf(recalls(chosenInEach))),
    percent(spreadOf(mapAtRs(chosenInEach))),
    signed(gainOf(mapAtRs(chosenInEach), mapAtRs(frozen.test))),
    '',
  ]);
  return table.toString();
}

/** A word of a command as a POSIX shell takes it. */
const shellWord = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** The command that trains the network itself on the same data; a run knows them, and its network. */
function trainingCommand(
  { run, model, networkData }: FitReport,
  { photos, dataset, allowPartial }: FitSource,
): string {
  const start = 'npx conquer train --recipe photos';
  if (run !== null) return `${start} --from ${shellWord(run)}`;
  const { seed, validationFraction } = networkData!;
  const words = [...(dataset === 'folder' ? [] : ['--dataset', dataset]), '--dataset-dir', photos];
  words.push('--split', 'random', '--seed', String(seed));
  if (validationFraction > 0) words.push('--val-fraction', String(validationFraction));
  if (allowPartial) words.push('--allow-partial', 'yes');
  if (model !== BUILT_IN) words.push('--arch', model);
  return `${start} ${words.map(shellWord).join(' ')}`;
}

/** What was fitted to, as the command line has it. */
export interface FitSource {
  photos: string;
  dataset: string;
  allowPartial?: boolean | undefined;
}

/** What the numbers say, and what to do with it, in lines. */
export function fitAdvice(report: FitReport, source: FitSource): string {
  const { frozen, heads, recommended, taken, curve, network, networkData, run, splits } = report;
  const photos = shellWord(source.photos);
  const lines = [
    `In per cent, mean ± standard error over ${splits.length} splits; each tests on classes that nothing was trained or chosen on.`,
  ];
  const meanOf = (values: readonly number[]) => spreadOf(values).mean;
  if (isSaturated({ 'R@1': meanOf(recalls(frozen.test)), 'MAP@R': meanOf(mapAtRs(frozen.test)) }))
    lines.push('Recall@1 cannot tell here: it is near its end before anything was trained. Go by MAP@R.');
  const chosen = heads.find(({ name }) => name === taken);
  const index = (what: string) => `npx conquer index ${what} --out photos.index`;
  if (!chosen) {
    lines.push(
      'None of the heads beats the frozen network on the held-out classes: no run was written. Use it as it is:',
      `  ${index(`${photos}${report.model === BUILT_IN ? '' : ` --model ${report.model}`}`)}`,
    );
  } else {
    const gain = gainOf(mapAtRs(chosen.test), mapAtRs(frozen.test));
    lines.push(
      recommended === null
        ? 'None of the heads beats the frozen network on the held-out classes.'
        : `Recommended: ${recommended}, by the MAP@R of held-out classes.`,
      `${chosen.name}: on the test classes ${signed(gain)} MAP@R above the frozen network${gain.mean > gain.error ? '.' : `, which is no gain: without a head (${index(photos)}) it is likely to be as good.`}`,
    );
    const points = curve.map(
      ({ classes, mapAtR }) => `${percent(spreadOf(mapAtR))} with ${classes.toFixed(0)} classes`,
    );
    lines.push(`MAP@R by the classes it trained on: ${points.join(', ')}.`);
  }
  if (network === 'unlikely')
    lines.push('Twice the classes brought it nothing: training the network itself is unlikely to pay.');
  else
    lines.push(
      network === 'likely'
        ? 'It still gains with more classes: training the network itself is likely to pay.'
        : 'Whether training the network itself pays, these numbers leave open.',
      ...(networkData === null ? [] : [`  ${trainingCommand(report, source)}`]),
    );
  if (run !== null)
    lines.push(
      '',
      `run          ${run}: ${taken}, trained on all ${report.classes} classes`,
      `search       ${index(`${shellWord(run)} ${photos}`)}`,
      `look at it   npx conquer dashboard ${shellWord(run)}`,
    );
  return `${lines.join('\n')}\n`;
}
