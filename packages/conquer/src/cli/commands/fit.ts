import { existsSync, statSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { photosDataset } from '../../datasets/photos-dataset.js';
import { DIVIDED_FROM } from '../../divide/usual-division.js';
import type { ExperimentInput } from '../../experiment/experiment.js';
import { fit } from '../../fit/fit.js';
import { fitOptions } from '../../fit/fit-options.js';
import { headRecipes } from '../../fit/head-recipes.js';
import { OptionError } from '../../option-error.js';
import { namingFlags } from '../fill.js';
import { fitAdvice, fitTable } from '../fit-table.js';
import { modelNamed } from '../model-of.js';
import { stoppable } from '../stop-signals.js';
import { requireNameOfRun } from '../train.js';
import { WorkBar } from '../work-bar.js';

interface FitFlags {
  model?: string;
  name?: string;
  runsDir: string;
  heads?: string;
  choose?: string;
  exclude?: string;
  loss?: string;
  miner?: string;
  embeddingDim?: string;
  batchSize?: string;
  threads?: string;
  allowPartial?: boolean;
  json?: boolean;
  [option: string]: string | boolean | undefined;
}

/** Whole numbers that are options of `fit`, and the flags that set them. */
const numbers = {
  steps: '--steps <n>',
  views: '--views <n>',
  splits: '--splits <n>',
  seeds: '--seeds <n>',
  seed: '--seed <n>',
  imageSize: '--image-size <n>',
} as const;

export function add(program: Command): undefined {
  const command = program
    .command('fit')
    .description('fit a head to photos on a frozen network, in minutes')
    .argument('<photos>', 'a folder with a subfolder of photos for each class, or a CSV file')
    .option('--model <name>', 'the frozen network (conquer models) [the built-in one]')
    .option('--name <text>', 'name of the run [fit- and the name of the photos]')
    .option('--runs-dir <text>', 'folder of the run folders', 'runs')
    .option(
      '--heads <names>',
      `heads to try, commas between: ${headRecipes.map(({ name, help }) => `${name} (${help})`).join('; ')} [all; divided from ${DIVIDED_FROM} classes on]`,
    )
    .option('--loss <name>', 'loss of all heads [multi-similarity]')
    .option('--miner <name>', 'miner of a loss that takes tuples [distance-weighted]')
    .option('--embedding-dim <n>', 'dimensions of the embedding [512]')
    .option('--batch-size <n>', 'photos of a batch [128]');
  command.option('--choose <name>', 'head that becomes a run [the recommended one]');
  for (const [name, flag] of Object.entries(numbers)) {
    const { description } = fitOptions.shape[name as keyof typeof numbers];
    const byDefault = fitOptions.shape[name as keyof typeof numbers].safeParse(undefined).data;
    command.option(flag, `${description} [${byDefault ?? 'its own'}]`);
  }
  command
    .option('--allow-partial', 'leave out what a CSV file lists and is missing')
    .option('--exclude <file>', 'photos to leave out (conquer audit)')
    .option('--threads <n>', 'of libtorch and of reading photos [one a core]')
    .option('--json', 'print the report as one line of JSON')
    .addHelpText(
      'after',
      '\nAll is kept: the same command goes on where it was interrupted.\nExample: conquer fit photos --name mine',
    )
    .action(async (photos: string, flags: FitFlags) => await runFit(photos, flags));
}

async function runFit(photos: string, flags: FitFlags): Promise<void> {
  const out = process.stderr;
  const dataset = await photosDataset(photos);
  const csv = dataset.name === 'csv';
  // Shards say themselves which of them is missing.
  if (
    ['csv', 'folder'].includes(dataset.name) &&
    (!existsSync(photos) || (csv && !statSync(photos).isFile()))
  )
    throw new UserError(`${photos}: expected a folder of photos, shards or a CSV file, it is not there`);
  const name = flags.name ?? `fit-${basename(resolve(photos), extname(photos))}`;
  requireNameOfRun(name);
  const path = join(flags.runsDir, name);
  const line = (kind: string) => (text: string) => void out.write(`${kind}: ${text}\n`);
  if (RunFolder.exists(path) && RunFolder.open(path).summary()?.status === 'finished')
    throw new UserError(`there is a run in ${path} already: choose another name (--name)`);
  const bars = new Map<string, WorkBar>();
  const barOf = (what: string, unit: string) => {
    const bar = bars.get(what) ?? new WorkBar(out, unit);
    bars.set(what, bar);
    return bar;
  };
  const report = await stoppable(out, (signal) =>
    namingFlags(() =>
      fit(
        {
          dataset: { ...dataset, ...(csv && flags.allowPartial && { allowPartial: true }) },
          model: modelNamed(flags.model, out),
          ...(flags.heads !== undefined && { heads: flags.heads.split(',') }),
          ...(flags.exclude !== undefined && { exclude: flags.exclude }),
          ...(flags.choose !== undefined && { choose: flags.choose }),
          ...Object.fromEntries(
            Object.keys(numbers).flatMap((option) =>
              flags[option] === undefined ? [] : [[option, numberOf(option, String(flags[option]))]],
            ),
          ),
          experiment: overOf(flags),
        },
        {
          run: path,
          signal,
          ...(flags.threads !== undefined && { threads: numberOf('threads', flags.threads) }),
          observer: {
            onPreparation: ({ what, done, total }) => barOf(what, 'done').tell(what, done, total),
            onTraining: ({ head, split, done, total }) =>
              barOf('training', 'steps').tell(`training heads (${head}, split ${split})`, done, total),
            onWarning: line('warning'),
            onNote: line('note'),
          },
        },
      ).catch((error) => {
        if (error instanceof OptionError && error.path in numbers)
          throw new UserError(`--${dashed(error.path)}: ${error.problem}`);
        throw error;
      }),
    ),
  );
  if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else
    process.stdout.write(
      `${fitTable(report)}\n${fitAdvice(report, { photos, dataset: dataset.name, allowPartial: flags.allowPartial })}`,
    );
}

/** What the flags put over every head. */
function overOf({ loss, miner, embeddingDim, batchSize }: FitFlags): ExperimentInput {
  return {
    ...(loss !== undefined && { loss: { name: loss } as never }),
    ...(miner !== undefined && { miner: { name: miner } as never }),
    ...(embeddingDim !== undefined && { model: { embeddingDim: numberOf('embedding-dim', embeddingDim) } }),
    ...(batchSize !== undefined && { data: { batchSize: numberOf('batch-size', batchSize) } }),
  };
}

const dashed = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function numberOf(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new UserError(`--${dashed(option)}: expected a whole number, got '${text}'`);
}
