import { basename, extname, join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import type { ExperimentInput } from '../../experiment/experiment.js';
import { atPath, mergeExperiments } from '../../experiment/merge.js';
import { readRecipe } from '../../experiment/recipe.js';
import { Interrupted } from '../../interrupted.js';
import { flagsOf } from '../flags.js';
import { flatRecipes } from '../flat-recipes.js';
import { resultsTable } from '../results.js';
import { StopSignals } from '../stop-signals.js';
import { choiceOf, fieldValue, type SearchSpace } from '../sweep/search-space.js';
import { pointText, sweep, type Trial } from '../sweep/sweep.js';
import { partsOf } from '../train-flags.js';
import { wholeNumberOf } from '../whole-number.js';

interface SweepFlags {
  over: string[];
  set: string[];
  search: string;
  trials: string;
  seed: string;
  factor: string;
  parallel: string;
  out?: string;
  plugin: string[];
  json?: boolean;
}

const METHODS = ['grid', 'random', 'halving'] as const;
const again = (text: string, all: string[]) => [...all, text];

export function add(program: Command, typed: readonly string[]): undefined {
  program
    .command('sweep')
    .description('train a recipe with several values of its fields')
    .argument('<recipe>', 'a recipe: its name, or a .json file')
    .option('--over <field=values>', 'what is tried; may be given again', again, [])
    .option('--set <field=value>', 'a field of all; may be given again', again, [])
    .option('--search <method>', `${METHODS.join(', ')} (successive halving)`, 'grid')
    .option('--trials <n>', 'points that random and halving draw', '16')
    .option('--seed <n>', 'of that drawing', '0')
    .option('--factor <n>', 'of a round of halving one in so many goes on', '3')
    .option('--parallel <n>', 'processes at a time', '1')
    .option('--out <folder>', 'for the runs [sweeps/ and the name of the recipe]')
    .option('--plugin <file>', 'parts of your own; may be given again', again, [])
    .option('--json', 'print a line of JSON for each trial')
    .addHelpText(
      'after',
      `
FIELD is one of an experiment (conquer train --print-experiment shows them):
  loss.margin=0.1,0.2,0.4               values
  loss=[{"name":"margin"},{"name":"triplet"}]
                                        values in JSON
  optimize.learningRate=1e-5..1e-3:log  a range, for random and halving
The same command goes on where it was interrupted.
Example: conquer sweep mine.json --over loss.margin=0.1,0.2 --parallel 2`,
    )
    .action(async (recipe: string, flags: SweepFlags) => await runSweep(recipe, flags, typed));
}

async function runSweep(recipe: string, flags: SweepFlags, typed: readonly string[]): Promise<void> {
  const { over, set, search, plugin, json = false } = flags;
  const method = METHODS.find((name) => name === search);
  if (method === undefined)
    throw new UserError(`--search: expected one of ${METHODS.join(', ')}, got '${search}'`);
  if (over.length === 0) throw new UserError('expected --over FIELD=VALUES, got none: what is to be tried?');
  const space: SearchSpace = Object.fromEntries(over.map((text) => named('--over', () => choiceOf(text))));
  const numbers = {
    trials: wholeNumberOf('--trials', flags.trials),
    seed: wholeNumberOf('--seed', flags.seed, { least: 0 }),
    factor: wholeNumberOf('--factor', flags.factor, { least: 2 }),
    parallel: wholeNumberOf('--parallel', flags.parallel),
  };
  const parts = await partsOf(typed);
  const { experiment } = readRecipe(recipe, flatRecipes(flagsOf(parts)));
  const base = mergeExperiments(experiment, ...set.map((text) => named('--set', () => fieldOf(text))));
  const folder = flags.out ?? join('sweeps', basename(recipe, extname(recipe)));
  using stop = new StopSignals(process.stderr);
  const trials = await sweep({
    ...{ base, space, method, ...numbers, folder, parts, plugins: plugin },
    signal: stop.signal,
    onTrial: (name, problem) =>
      void process.stderr.write(problem === null ? `training ${name}\n` : `${name} failed: ${problem}\n`),
  });
  if (json) for (const trial of trials) process.stdout.write(`${JSON.stringify(trial)}\n`);
  else process.stdout.write(tableOf(trials, folder));
  if (stop.signal.aborted) throw new Interrupted('stopped; the same command goes on');
  if (trials.some(({ problem }) => problem !== null)) process.exitCode = 1;
}

/** With the flag's name before what is wrong. */
function named<T>(flag: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${flag}: ${error.message}`);
  }
}

function fieldOf(text: string): ExperimentInput {
  const [path, ...rest] = text.split('=');
  if (rest.length === 0 || !/^\w+(\.\w+)*$/.test(path!))
    throw new UserError(`expected FIELD=VALUE, got ${JSON.stringify(text)}`);
  return atPath(path!, fieldValue(rest.join('='))) as ExperimentInput;
}

function tableOf(trials: readonly Trial[], folder: string): string {
  const rows = trials.map(({ name, point, epochs, of, best }) => ({
    name: `${name.slice(0, 3)}  ${pointText(point)}  ${epochs}/${of}`,
    metrics: best?.metrics ?? {},
  }));
  const failed = trials.flatMap(({ name, problem }) =>
    problem === null ? [] : [`${name} failed: ${problem}\n`],
  );
  const onValidation = trials.some(({ best }) => best?.validation);
  const chosen = onValidation
    ? 'ordered by the validation classes; the numbers are of the test classes'
    : 'ordered by these test classes, which makes the first an optimistic number (data.validationFraction sets others aside)';
  return `${resultsTable(rows)}\nthe best epoch of each run in ${folder}, in per cent; ${chosen}\n${failed.join('')}`;
}
