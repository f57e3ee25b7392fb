import { join } from 'node:path';
import { RunFolder, UserError } from '@conquer-dml/run';
import type { GroupPlace } from '@conquer-dml/torch';
import type { Command } from 'commander';
import { withAbsolutePaths } from '../../experiment/absolute-paths.js';
import type { Experiment, ExperimentInput, Parts } from '../../experiment/experiment.js';
import { mergeExperiments } from '../../experiment/merge.js';
import { readRecipe } from '../../experiment/recipe.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { dataAndNetworkOf } from '../../fit/network-data.js';
import { longNames, withDashes } from '../dashes.js';
import { asAuthors, translateDcesmlFlags } from '../dcesml-flags.js';
import { describeDataset, describeExperiment } from '../describe.js';
import { experimentFile } from '../experiment-file.js';
import { fillExperiment, namingFlags } from '../fill.js';
import type { Flag } from '../flags.js';
import { flatRecipes } from '../flat-recipes.js';
import { ownDevice } from '../group-place.js';
import { JsonLines } from '../json-lines.js';
import { inProcesses, nprocOption } from '../launch.js';
import { resumption } from '../resumption.js';
import { findRun } from '../runs.js';
import { outputOf } from '../terminal.js';
import { reportFiles, reportSummary, requireNameOfRun, runTraining } from '../train.js';
import { addFlags, givenFlags, partsOf } from '../train-flags.js';
import { chooseHelp, trainHelpFooter } from '../train-help.js';
import { refuseUnused, unusedOptions } from '../unused-options.js';

interface TrainFlags {
  recipe?: string;
  experiment?: string;
  from?: string;
  resume?: string;
  name?: string;
  runsDir: string;
  plugin?: string[];
  profile?: boolean;
  nproc?: number;
  dryRun?: boolean;
  printExperiment?: boolean;
  json?: boolean;
}

/** What the command line was understood as. */
interface Asked {
  parts: Parts;
  flags: readonly Flag[];
  /** Those of the arguments that only the authors' code has. */
  oldFlags: readonly string[];
}

export async function add(program: Command, typed: readonly string[]): Promise<string[]> {
  const parts = await partsOf(typed);
  const train = program
    .command('train')
    .description('train an embedding')
    .option('--recipe <name>', 'settings from a recipe: its name, or a .json file')
    .option('--experiment <file>', 'a whole experiment, as --print-experiment prints one')
    .option('--from <run>', 'data and network of a run, as conquer fit writes one')
    .option('--resume <run>', 'go on with the run in this folder')
    .option('--name <text>', 'name of the run (default: data, model, time)')
    .option('--runs-dir <text>', 'folder of the run folders', 'runs')
    .option('--plugin <file>', 'parts of your own; may be given again', (file, all: string[] = []) => [
      ...all,
      file,
    ])
    .option('--profile', "print and log where each epoch's time goes")
    .addOption(nprocOption('train'))
    .option('--dry-run', 'print all settings and what the data set holds')
    .option('--print-experiment', 'print the experiment as JSON, and end')
    .option('--json', 'print lines of JSON; text for people on stderr');
  const flags = addFlags(train, parts);
  train.addHelpText(
    'after',
    `${trainHelpFooter(flags)}\nExample: conquer train --recipe photos --dataset-dir PHOTOS --name mine`,
  );
  train.configureHelp({ optionDescription: ({ description }) => description });
  const { args, old: oldFlags } = translateDcesmlFlags(typed, flags);
  train.action(async (options: TrainFlags) => await runTrain(train, options, { parts, flags, oldFlags }));
  return chooseHelp(train, flags, withDashes(args, ['--help-all', ...longNames(program, 'train')]));
}

const note = (text: string) => void process.stderr.write(`note: ${text}\n`);

async function runTrain(command: Command, options: TrainFlags, asked: Asked): Promise<void> {
  const { parts, flags, oldFlags } = asked;
  const { recipe, resume, experiment: file, from, json = false } = options;
  const given = givenFlags(
    command,
    flags.map(({ name }) => name),
  );
  const exclude = Object.entries({ resume, recipe, experiment: file }).filter(
    ([, value]) => value !== undefined,
  );
  if (exclude.length > 1)
    throw new UserError(`${exclude.map(([name]) => `--${name}`).join(' and ')} exclude each other`);
  if (from !== undefined && (resume ?? file) !== undefined)
    throw new UserError(`--from and --${resume === undefined ? 'experiment' : 'resume'} exclude each other`);
  if (resume !== undefined && options.dryRun)
    throw new UserError(
      `--dry-run tells what a new run would do: of a run that goes on its config.json does, ${join(resume, 'config.json')}`,
    );
  if (json && options.dryRun) throw new UserError('--json and --dry-run exclude each other');

  const { profile = false, plugin = [] } = options;
  const how = { profile, plugin, json };
  const train = (experiment: Experiment, training: Training) =>
    inProcesses(options.nproc, (place) => trainAndReport(experiment, training, parts, place));
  await namingFlags(async () => {
    if (resume !== undefined) {
      const path = findRun(resume);
      const { experiment, cached } = resumption(path, given, parts, note);
      return await train(experiment, { ...how, path, resume: true, cached });
    }
    const { experiment: base, published } =
      recipe !== undefined
        ? readRecipe(recipe, flatRecipes(flags))
        : { experiment: file === undefined ? {} : experimentFile(file), published: null };
    const asOld: ExperimentInput = recipe === undefined && oldFlags.length > 0 ? asAuthors : {};
    const ofRun = from === undefined ? {} : dataAndNetworkOf(RunFolder.open(findRun(from)));
    const below = mergeExperiments(asOld, base, ofRun);
    const unused: string[] = [];
    const filled = fillExperiment(below, given, flags, (message) => unused.push(message));
    const experiment = resolveExperiment(withAbsolutePaths(filled), parts);
    unused.push(...unusedOptions(experiment, Object.keys(given), parts));
    // Commands for the authors' code have flags in them that do nothing there either.
    if (oldFlags.length === 0) refuseUnused(unused);
    else unused.forEach(note);
    if (options.printExperiment) {
      process.stdout.write(`${JSON.stringify(experiment, null, 2)}\n`);
      return;
    }
    if (options.dryRun) {
      const layers = { 'old flags': asOld, recipe: base, 'the run': ofRun };
      process.stdout.write(describeExperiment(experiment, flags, layers, given));
      process.stdout.write(await describeDataset(experiment, parts, process.stderr));
      return;
    }
    if (options.name !== undefined) requireNameOfRun(options.name);
    const path = join(options.runsDir, options.name ?? defaultName(experiment));
    await train(experiment, { ...how, path, published, given: Object.keys(given) });
  }, flags);
}

interface Training {
  path: string;
  resume?: boolean;
  cached?: boolean | undefined;
  profile?: boolean;
  json?: boolean;
  plugin?: string[];
  published?: ReturnType<typeof readRecipe>['published'];
  given?: readonly string[];
}

async function trainAndReport(
  experiment: Experiment,
  training: Training,
  parts: Parts,
  place: GroupPlace | null,
): Promise<void> {
  const {
    path,
    resume = false,
    cached,
    profile = false,
    json = false,
    plugin = [],
    published,
    given,
  } = training;
  const isFirst = place === null || place.rank === 0;
  const summary = await runTraining({
    experiment: {
      ...experiment,
      train: { ...experiment.train, device: ownDevice(experiment.train.device, process.env) },
    },
    path,
    resume,
    cached,
    profile,
    plugins: plugin,
    parts,
    place,
    given,
    events: json && isFirst ? new JsonLines(process.stdout, path) : undefined,
    out: outputOf(isFirst),
  });
  if (!isFirst) return;
  const out = json ? process.stderr : process.stdout;
  reportSummary(summary, out, published);
  reportFiles(path, out);
}

function defaultName({ data, model }: Experiment): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  const nameOf = (part: object | null) => (part && 'name' in part ? part.name : 'own');
  return `${nameOf(data.dataset)}-${nameOf(model.backbone)}-${time}`;
}
