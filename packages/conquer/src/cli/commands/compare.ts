import type { Command } from 'commander';
import { compareRuns, type RunComparison } from '../../train/compare-runs.js';
import { findRun } from '../runs.js';

export function add(program: Command): undefined {
  program
    .command('compare')
    .description('whether two runs differ by more than chance')
    .argument('<first>', 'a run folder')
    .argument('<second>', 'another one, tested on the same images')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      '\nBy the neighbours that the runs kept: near-duplicates find each other, as in\nconquer eval without --duplicates.\nExample: conquer compare runs/plain runs/divided',
    )
    .action(async (first: string, second: string, { json = false }: { json?: boolean }) => {
      const compared = await compareRuns(findRun(first), findRun(second));
      process.stdout.write(json ? `${JSON.stringify(compared)}\n` : inWords(compared));
    });
}

const percent = (fraction: number) => (100 * fraction).toFixed(2);

const withError = (value: string, error: number | null) =>
  error === null ? value : `${value} ± ${percent(error)}`;

function inWords(compared: RunComparison): string {
  const { queries, classes, first, second, difference, standardError, pValue, mcnemar } = compared;
  const width = Math.max(first.run.length, second.run.length);
  const line = ({ run, epoch, recallAt1, standardError }: typeof first) =>
    `${run.padEnd(width)}  R@1 ${withError(percent(recallAt1), standardError)}  (epoch ${epoch + 1})\n`;
  const signed = `${difference > 0 ? '+' : ''}${percent(difference)}`;
  const ofClasses =
    pValue === null ? ', no error over classes to compare it with' : `, p ${shown(pValue)} over classes`;
  const method =
    mcnemar.method === 'exact'
      ? 'exact binomial, as there are fewer than 25 of them'
      : `chi-square ${mcnemar.statistic!.toFixed(2)}, corrected for continuity`;
  return (
    `${line(first)}${line(second)}` +
    `${'difference'.padEnd(width)}      ${withError(signed, standardError)}${ofClasses}\n` +
    `McNemar: ${mcnemar.onlyFirst} of ${queries} queries only the first finds, ${mcnemar.onlySecond} only the second; p ${shown(mcnemar.pValue)} (${method})\n` +
    `in per cent, ± the standard error over ${classes} classes, of the difference paired by class. McNemar's test takes each query by itself: where those of a class are alike, go by the classes\n`
  );
}

const shown = (p: number) => (p < 1e-4 ? p.toExponential(1) : p.toFixed(4));
