import { basename, join } from 'node:path';
import { RunFolder, UserError, valueAt } from '@conquer-dml/run';
import type { ProcessGroup } from '@conquer-dml/torch';
import { type Command, Option } from 'commander';
import { readNearDuplicates } from '../../datasets/near-duplicates.js';
import type { Metric } from '../../evaluate/metric.js';
import { metricNamed } from '../../evaluate/metrics.js';
import { isSaturated } from '../../evaluate/saturated.js';
import { builtInParts } from '../../experiment/experiment.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import type { AskedPrecision } from '../../precision.js';
import { type EvaluateNetworkOptions, evaluatePublished } from '../../train/evaluate-network.js';
import { type EvaluatedRun, evaluateRun } from '../../train/evaluate-run.js';
import { precisionOption } from '../embedding-flags.js';
import { isMistake } from '../failure.js';
import { fillExperiment, namingFlags, withFlags } from '../fill.js';
import { type Flag, flagsOf } from '../flags.js';
import { inGroup, ownDevice } from '../group-place.js';
import { inProcesses, nprocOption } from '../launch.js';
import { modelOf } from '../model-of.js';
import { type ResultRow, resultsTable } from '../results.js';
import { movable } from '../resumption.js';
import { type RetrievalOptions, retrievalOf } from '../retrieval-flags.js';
import { findRun, findRuns } from '../runs.js';
import { cachedOf, storedExperiment } from '../stored.js';
import { type Output, outputOf, progressBar } from '../terminal.js';
import { addFlags, givenFlags, partsOf } from '../train-flags.js';
import { writeTables } from '../write-tables.js';

interface EvalFlags {
  model?: string;
  arch?: string;
  revision?: string;
  checkpoint: 'best' | 'last';
  metrics?: string;
  allMetrics?: boolean;
  rerank?: string;
  expand?: string;
  prefixes?: string;
  duplicates?: string;
  flips?: boolean;
  crops?: string;
  tables?: string;
  plugin?: string;
  nproc?: number;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('eval')
    .description('evaluate runs, or any model, on unseen classes')
    .argument('[run...]', 'run folders, or a folder of them')
    .option('--model <name>', 'a published model (conquer models), weights, or a run')
    .option('--arch <name>', 'network of weights that do not say it')
    .option('--revision <name>', 'of a published model: branch, tag or commit [main]')
    .addOption(new Option('--checkpoint <which>', 'which').choices(['best', 'last']).default('best'))
    .option('--dataset-dir <path>', 'where the data set lies now (default: as trained)')
    .option('--split <file>', 'list of training classes, where it is now')
    .option('--device <device>', 'cpu, or cuda:0, … (default: as trained)')
    .addOption(precisionOption('[as trained]'))
    .option('--threads <n>', 'CPU threads (default: as trained)')
    .addOption(new Option('--cache <name>', 'keep decoded images').choices(['yes', 'no']))
    .addOption(new Option('--on-bad-image <name>', 'broken ones').choices(['fail', 'skip']))
    .option('--metrics <list>', 'by name, as usual,P@10,mINP [usual,AMI,k-means]')
    .option('--all-metrics', 'also those that take longer (docs/metrics.md)')
    .option('--rerank <k1,k2,lambda>', 're-ranking, k-reciprocal; yes: 20,6,0.3')
    .option('--expand <what,k,alpha>', 'queries, gallery, both or joint by neighbours [.,3,3]')
    .option('--prefixes <list>', 'R@1 of so many first dimensions too, as 64,128')
    .option('--duplicates <file>', 'of conquer duplicates --json: none finds another')
    .option('--flips', 'the mean of an image and its mirror image')
    .option('--crops <n>', '5: the mean of the centre and the corners [1]')
    .option('--tables <folder>', 'write CSV files: by class, distances of pairs')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .addOption(nprocOption('embed'))
    .option('--json', 'print a line of JSON for each run')
    .addHelpText('after', '\nExample: conquer eval --model NAME --dataset cub --dataset-dir DIR')
    .action(evaluate);
  const eval_ = program.commands.find((command) => command.name() === 'eval')!;
  const taken = new Set(eval_.options.map((option) => option.name()));
  addFlags(eval_, builtInParts, (flag) => isOfDataset(flag) && !taken.has(flag.name));
  // Of few data sets, where they are not as usual: the help of train has them.
  for (const option of eval_.options)
    if (option.name().startsWith('shard-') || option.name() === 'split') option.hideHelp();
}

/** Whether a flag says which data set, and where; a run knows its own. */
const isOfDataset = ({ targets }: Flag) => targets.some(({ path }) => path === 'data.dataset');

/** How the processes of an evaluation stand together, and where it says how far it is: the first alone says it. */
interface Together {
  group: ProcessGroup;
  out: Output;
}

async function evaluate(paths: string[], options: EvalFlags, command: Command): Promise<void> {
  const print = options.model === undefined ? printEvaluations : printModel;
  const part = (group: ProcessGroup) =>
    print(paths, options, command, { group, out: outputOf(group.isFirst) });
  await inProcesses(options.nproc, (place) => inGroup(place, part));
}

async function printEvaluations(
  paths: string[],
  options: EvalFlags,
  command: Command,
  together: Together,
): Promise<void> {
  if (paths.length === 0) throw new UserError('eval: expected run folders, or --model and --dataset');
  const { checkpoint, plugin, json } = options;
  const { isFirst } = together.group;
  const retrieval = await retrievalFrom(options);
  const given = givenFlags(command, [...movable, 'split', 'cache']);
  const parts = await partsOf(plugin === undefined ? [] : ['--plugin', plugin]);
  const rows: ResultRow[] = [];
  const failures: string[] = [];
  for (const { run, named } of findRuns(paths)) {
    let result: EvaluatedRun;
    try {
      const onTables = tablesInto(options.tables, run);
      result = await evaluateOne(run, { checkpoint, retrieval, onTables, given, parts, together });
    } catch (error) {
      // One of a folder does not hide the others.
      if (named || !(await isMistake(error))) throw error;
      const { message } = error as Error;
      failures.push(`${run}: ${message}`);
      together.out.write(`warning: ${run} is left out: ${message}\n`);
      continue;
    }
    const name = `${run}, ${checkpoint} (epoch ${result.epoch + 1})`;
    const sets = Object.entries(result.testSets ?? {});
    if (sets.length === 0) rows.push({ name, metrics: result.metrics });
    for (const [set, metrics] of sets) rows.push({ name: `${name}, ${set}`, metrics });
    if (json && isFirst) process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  if (rows.length === 0)
    throw new UserError(`none of ${failures.length} runs can be evaluated: ${failures[0]}`);
  if (!json && isFirst) printTable(rows, retrieval);
}

function printTable(
  rows: readonly ResultRow[],
  { rerank, expand, nearDuplicates, testTime: { flips, crops = 1 } = {} }: Retrieval,
): void {
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))];
  const shown = names.flatMap((name) => {
    const metric = metricNamed(name)?.metric;
    return metric ? [{ name, metric }] : [];
  });
  const of = (isOne: (metric: Metric) => boolean) =>
    shown.flatMap(({ name, metric }) => (isOne(metric) ? [name] : [])).join(', ');
  const plain = of((metric) => metric.shown === 'plain');
  const seeded = of((metric) => metric.of === 'clusters');
  const notes = [
    'in per cent',
    ...(plain ? [`${plain} as they are`] : []),
    '± its standard error over classes',
    ...(seeded
      ? [
          `${seeded} of ten k-means of all images, as many clusters as classes, each of one greedy k-means++ start and at most 100 iterations`,
        ]
      : []),
    ...(rerank ? ['searches re-ranked by mutual neighbours'] : []),
    ...(expand ? [`expanded: ${expand.what}`] : []),
    ...(nearDuplicates ? ['near-duplicates do not find each other'] : []),
    ...(rows.some(({ metrics }) => isSaturated(metrics))
      ? ['R@1 is near its end where MAP@R is far below it: go by MAP@R']
      : []),
    ...(flips ? ['with mirror images'] : []),
    ...(crops > 1 ? [`of ${crops} crops`] : []),
  ];
  process.stdout.write(`${resultsTable(rows)}\n${notes.join('; ')}\n`);
}

/** Any model on any data set. */
async function printModel(
  paths: readonly string[],
  options: EvalFlags & { device?: string; precision?: AskedPrecision },
  command: Command,
  { group, out }: Together,
): Promise<void> {
  const { model: name = '', json = false, arch, revision, checkpoint, plugin, precision } = options;
  const device = options.device && ownDevice(options.device, process.env);
  const retrieval = await retrievalFrom(options);
  if (paths.length > 0)
    throw new UserError(`eval: expected either run folders or --model, got both (${paths[0]})`);
  const parts = await partsOf(plugin === undefined ? [] : ['--plugin', plugin]);
  const flags = flagsOf(parts);
  const own = ['threads', 'device', 'precision', 'cache', 'on-bad-image'];
  const given = givenFlags(command, [...flags.filter(isOfDataset).map((flag) => flag.name), ...own]);
  const result = await namingFlags(async () => {
    const experiment = resolveExperiment(
      fillExperiment({}, given, flags, (message) => {
        throw new UserError(message);
      }),
      parts,
    );
    const where = { device, precision };
    using model = await modelOf(findRun(name), {
      ...{ checkpoint, ...where, plugin, arch, revision, progress: out },
    });
    const { model: network, source } = model;
    const evaluated = await evaluatePublished(network, experiment, {
      ...retrieval,
      onTables: tablesInto(options.tables, source),
      parts,
      group,
      onPreparation: (what) => progressBar(out, what),
      onWarning: (text) => void out.write(`warning: ${withFlags(text, flags)}\n`),
    });
    return { model: source, ...evaluated };
  }, flags);
  if (!group.isFirst) return;
  if (json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const sets = Object.entries(result.testSets ?? { '': result.metrics });
  printTable(
    sets.map(([set, metrics]) => ({ name: set === '' ? result.model : `${result.model}, ${set}`, metrics })),
    retrieval,
  );
}

/** Writes what was found of a test set below a folder, by the names of the run (or model) and the set; where it is asked for. */
function tablesInto(folder: string | undefined, name: string): EvaluateNetworkOptions['onTables'] {
  if (folder === undefined) return undefined;
  return (set, tables) => {
    const into = join(folder, basename(name), set);
    process.stderr.write(`note: ${writeTables(into, tables).join(', ')} in ${into}\n`);
  };
}

interface Retrieval extends RetrievalOptions, Pick<EvaluateNetworkOptions, 'nearDuplicates'> {}

async function retrievalFrom(options: EvalFlags): Promise<Retrieval> {
  const { duplicates } = options;
  return {
    ...retrievalOf(options),
    ...(duplicates !== undefined && { nearDuplicates: await readNearDuplicates(duplicates) }),
  };
}

interface Evaluation {
  onTables: EvaluateNetworkOptions['onTables'];
  checkpoint: 'best' | 'last';
  retrieval: Retrieval;
  given: Readonly<Record<string, string>>;
  parts: Awaited<ReturnType<typeof partsOf>>;
  together: Together;
}

async function evaluateOne(path: string, evaluation: Evaluation): Promise<EvaluatedRun> {
  const { checkpoint, retrieval, onTables, given, parts, together } = evaluation;
  const { group, out } = together;
  const note = (text: string) => void out.write(`note: ${text}\n`);
  const { cache, 'dataset-dir': folder, ...asked } = given;
  const { device } = asked;
  const others = device === undefined ? asked : { ...asked, device: ownDevice(device, process.env) };
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
        ...retrieval,
        onTables,
        parts,
        group,
        ...(cached !== undefined && { cached }),
        ...(folder !== undefined && { folder }),
        onPreparation: (what) => progressBar(out, what),
        onWarning: (text) => void out.write(`warning: ${withFlags(text, flags)}\n`),
        onNote: note,
      }),
    flags,
  );
}
