import { RunFolder, UserError, valueAt } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import type { Metric } from '../../evaluate/metric.js';
import { metrics } from '../../evaluate/metrics.js';
import { type EvaluatedRun, evaluateRun } from '../../train/evaluate-run.js';
import { isMistake } from '../failure.js';
import { namingFlags, withFlags } from '../fill.js';
import { flagsOf } from '../flags.js';
import { type ResultRow, resultsTable } from '../results.js';
import { movable } from '../resumption.js';
import { findRuns } from '../runs.js';
import { cachedOf, storedExperiment } from '../stored.js';
import { progressBar } from '../terminal.js';
import { givenFlags, partsOf } from '../train-flags.js';

interface EvalFlags {
  checkpoint: 'best' | 'last';
  allMetrics?: boolean;
  plugin?: string;
  json?: boolean;
}

const namesOf = (some: readonly Metric[]) => some.flatMap(({ names }) => names([])).join(', ');

export function add(program: Command): undefined {
  program
    .command('eval')
    .description('evaluate trained runs on their unseen classes')
    .argument('<run...>', 'run folders, or a folder of them')
    .addOption(new Option('--checkpoint <which>', 'which weights').choices(['best', 'last']).default('best'))
    .option('--dataset-dir <path>', 'where the data set lies now (default: as trained)')
    .option('--split <file>', 'where the list of training classes is now, if there is one')
    .option('--device <device>', 'cpu, or cuda:0, … (default: as trained)')
    .option('--threads <n>', 'CPU threads (default: as trained)')
    .addOption(new Option('--cache <name>', 'keep decoded images').choices(['yes', 'no']))
    .addOption(new Option('--on-bad-image <name>', 'an image that cannot be read').choices(['fail', 'skip']))
    .option('--all-metrics', `also ${namesOf(metrics.filter(({ extended }) => extended))}`)
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print a line of JSON for each run')
    .addHelpText('after', '\nExample: conquer eval runs/demo')
    .action(printEvaluations);
}

async function printEvaluations(paths: string[], options: EvalFlags, command: Command): Promise<void> {
  const { checkpoint, allMetrics = false, plugin, json } = options;
  const given = givenFlags(command, [...movable, 'split', 'cache']);
  const parts = await partsOf(plugin === undefined ? [] : ['--plugin', plugin]);
  const rows: ResultRow[] = [];
  const failures: string[] = [];
  for (const { run, named } of findRuns(paths)) {
    let result: EvaluatedRun;
    try {
      result = await evaluateOne(run, { checkpoint, allMetrics, given, parts });
    } catch (error) {
      // One of a folder does not hide the others.
      if (named || !(await isMistake(error))) throw error;
      const { message } = error as Error;
      failures.push(`${run}: ${message}`);
      process.stderr.write(`warning: ${run} is left out: ${message}\n`);
      continue;
    }
    const name = `${run}, ${checkpoint} (epoch ${result.epoch + 1})`;
    const sets = Object.entries(result.testSets ?? {});
    if (sets.length === 0) rows.push({ name, metrics: result.metrics });
    for (const [set, metrics] of sets) rows.push({ name: `${name}, ${set}`, metrics });
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  if (rows.length === 0)
    throw new UserError(`none of ${failures.length} runs can be evaluated: ${failures[0]}`);
  if (json) return;
  const shown: readonly Metric[] = metrics.filter(({ extended }) => allMetrics || !extended);
  const plain = namesOf(shown.filter((metric) => metric.shown === 'plain'));
  const seeded = namesOf(shown.filter((metric) => metric.of === 'clusters'));
  process.stdout.write(
    `${resultsTable(rows)}\nin per cent${plain && `; ${plain} as they are`}; ${seeded} over ten k-means seeds\n`,
  );
}

interface Evaluation {
  checkpoint: 'best' | 'last';
  allMetrics: boolean;
  given: Readonly<Record<string, string>>;
  parts: Awaited<ReturnType<typeof partsOf>>;
}

async function evaluateOne(path: string, evaluation: Evaluation): Promise<EvaluatedRun> {
  const { checkpoint, allMetrics, given, parts } = evaluation;
  const out = process.stderr;
  const note = (text: string) => void out.write(`note: ${text}\n`);
  const { cache, 'dataset-dir': folder, ...others } = given;
  // No flag of the experiment says where a data set of one's own lies now.
  const isOwn = valueAt(RunFolder.open(path).experiment(), 'data.dataset.own') !== undefined;
  const moved = isOwn || folder === undefined ? others : { ...others, 'dataset-dir': folder };
  const experiment = storedExperiment(path, moved, parts, note);
  const cached = cache === undefined ? undefined : cachedOf(experiment, cache, note);
  const flags = flagsOf(parts);
  return await namingFlags(
    () =>
      evaluateRun(path, experiment, {
        checkpoint,
        extended: allMetrics,
        parts,
        ...(cached !== undefined && { cached }),
        ...(folder !== undefined && { folder }),
        onPreparation: (what) => progressBar(out, what),
        onNote: (text) => void out.write(`warning: ${withFlags(text, flags)}\n`),
      }),
    flags,
  );
}
