import type { Command } from 'commander';
import { resultsTable } from '../results.js';
import { howToGoOn, listRuns } from '../runs.js';

interface RunsFlags {
  filter?: string;
  sort: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('runs')
    .description('list runs: how far they are and how good')
    .argument('[folder...]', 'run folders, or folders of them', ['runs'])
    .option('--filter <pattern>', 'keep runs whose path holds this; * stands for anything')
    .option('--sort <key>', 'name, epochs or a metric', 'R@1')
    .option('--json', 'print a line of JSON for each run')
    .addHelpText('after', "\nExample: conquer runs --filter 'emoji*' --sort MAP@R")
    .action(printRuns);
}

function printRuns(paths: string[], { filter, sort, json }: RunsFlags): void {
  const { runs: states, damaged } = listRuns(paths, { sort, ...(filter !== undefined && { filter }) });
  if (json) {
    for (const state of [...states, ...damaged]) process.stdout.write(`${JSON.stringify(state)}\n`);
    return;
  }
  const rows = states.map(({ run, status, epochs, of, best, bestBy }) => ({
    name: `${run}  ${status} ${epochs}/${of}${best ? `, best ${best.epoch + 1}${bestBy === 'R@1' ? '' : ` by ${bestBy}`}` : epochs > 0 ? ', not measured' : ''}`,
    metrics: best?.metrics ?? {},
  }));
  const broken = damaged.map(({ run, problem }) => `${run} is damaged: ${problem}\n`).join('');
  const measured = states.some(({ best }) => best)
    ? 'the best epoch of each, in per cent; chosen by R@1 (unless it says otherwise) on the test classes, where no --val-fraction set others aside\n'
    : '';
  process.stdout.write(`${resultsTable(rows)}\n${measured}${howToGoOn(states)}${broken}`);
}
