import { dirname } from 'node:path';
import { UserError } from '@conquer/run';
import { Argument, Command, Option } from 'commander';
import type { Shell } from './completion.js';
import { translateDcesmlFlags } from './dcesml-flags.js';
import type { EvalResult } from './eval.js';
import { endWith, isMistake } from './failure.js';
import { withDashes } from './flag-names.js';
import { describeSettings, type OptionSpec, resolveSettings, trainOptions } from './options.js';
import type { ResultRow } from './results.js';
import { chooseHelp, trainHelpFooter } from './train-help.js';

// Commands are imported when they run: --help must not wait for all that they need.

function optionFor(name: string, spec: OptionSpec): Option {
  const value = { integer: 'n', number: 'x', choice: 'name', text: 'text' }[spec.kind];
  const choices = spec.kind === 'choice' && spec.choices.length <= 4 ? ` (${spec.choices.join(', ')})` : '';
  const standard = spec.default === null ? '' : ` [${spec.default}]`;
  const bare = spec.kind === 'choice' ? spec.bare : undefined;
  const flag = bare === undefined ? `--${name} <${value}>` : `--${name} [${value}]`;
  const option = new Option(flag, `${spec.help}${choices}${standard}`);
  return bare === undefined ? option : option.preset(bare);
}

/** The options that were given, by their long names. */
function givenFlags(command: Command): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const name of Object.keys(trainOptions)) {
    const attribute = name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (command.getOptionValueSource(attribute) === 'cli') flags[name] = command.getOptionValue(attribute);
  }
  return flags;
}

const program = new Command('conquer')
  .description('Deep metric learning by divide and conquer: train, evaluate and use image embeddings.')
  .version('0.1.0')
  .addHelpText(
    'after',
    '\nExample: conquer demo\n         conquer train --recipe photos --dataset-dir PHOTOS --name mine',
  );

const train = program
  .command('train')
  .description('train an embedding')
  .option('--recipe <name>', 'settings from a recipe: its name, or a .json file')
  .option('--resume <run>', 'go on with the run in this folder')
  .option('--profile', "print and log where each epoch's time goes")
  .option('--dry-run', 'print all settings and what the data set holds')
  .option('--json', 'print lines of JSON; text for people on stderr')
  .addHelpText(
    'after',
    `${trainHelpFooter}\nExample: conquer train --recipe photos --dataset-dir PHOTOS --name mine\n         (photographs of your own, a subfolder for each class)`,
  );
for (const [name, spec] of Object.entries(trainOptions)) train.addOption(optionFor(name, spec));
interface IndexFlags {
  out?: string;
  checkpoint: 'best' | 'last';
  device?: string;
  threads?: string;
  datasetDir?: string;
  cache?: string;
  onBadImage: 'skip' | 'fail';
  json?: boolean;
}
interface SearchFlags {
  top: string;
  run?: string;
  folder?: string;
  device?: string;
  json?: boolean;
}
interface TrainFlags {
  recipe?: string;
  resume?: string;
  dryRun?: boolean;
  profile?: boolean;
  json?: boolean;
}
/** Those of the arguments that only the authors' code has. */
let oldFlags: readonly string[] = [];

train.configureHelp({ optionDescription: ({ description }) => description });
train.action(async (options: TrainFlags) => {
  const { JsonLines } = await import('./json-lines.js');
  const { readRecipe } = await import('./recipe.js');
  const { reportFiles, reportSummary, resumption, runTraining } = await import('./train.js');
  const flags = givenFlags(train);
  const { recipe, resume } = options;
  if (resume !== undefined && recipe !== undefined)
    throw new UserError('--resume and --recipe exclude each other');
  if (options.json && options.dryRun) throw new UserError('--json and --dry-run exclude each other');
  const { settings: fromRecipe, published } =
    recipe === undefined ? { settings: {}, published: null } : readRecipe(recipe);
  const note = (text: string) => void process.stderr.write(`note: ${text}\n`);
  const { isDefaultStart } = await import('./start.js');
  const { findRun } = await import('./runs.js');
  // The authors' code starts from ImageNet weights whatever its flags say.
  const fromOldFlags = recipe === undefined && oldFlags.length > 0 ? { weights: 'imagenet' } : {};
  const { settings, cached } =
    resume === undefined
      ? { settings: resolveSettings(fromOldFlags, fromRecipe, flags), cached: undefined }
      : resumption(findRun(resume), flags, note);
  if (resume === undefined) {
    const { refuseUnusedOptions, unusedOptions } = await import('./unused-options.js');
    const given = Object.keys(flags);
    // Commands for the authors' code have flags in them that do nothing there either.
    if (oldFlags.length === 0) refuseUnusedOptions(settings, given);
    else unusedOptions(settings, given).forEach(note);
  }
  if (options.dryRun) {
    const { describeDataset } = await import('./train.js');
    const layers = { 'old flags': fromOldFlags, recipe: fromRecipe, flag: flags };
    process.stdout.write(describeSettings(settings, layers));
    process.stdout.write(await describeDataset(settings, process.stderr));
    return;
  }
  const summary = await runTraining({
    settings,
    resume: resume !== undefined,
    defaultStart: resume === undefined && isDefaultStart(fromOldFlags, fromRecipe, flags),
    cached,
    profile: options.profile ?? false,
    events: options.json ? new JsonLines(process.stdout) : undefined,
    out: process.stderr,
  });
  const out = options.json ? process.stderr : process.stdout;
  reportSummary(summary, out, published);
  reportFiles(dirname(dirname(summary.checkpoints.last)), out);
});

program
  .command('demo')
  .description('train on the emoji data set for a few minutes and report')
  .option('--seed <n>', 'of everything that is drawn', '1')
  .addHelpText('after', '\nExample: conquer demo')
  .action(async (options: { seed: string }) => {
    const { runDemo } = await import('./demo.js');
    await runDemo({ seed: options.seed, out: process.stdout });
  });

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
  .option(
    '--all-metrics',
    'also MAP, MAP@1000, F1 by pairs, spectral decay rho, distances within and between classes',
  )
  .option('--json', 'print a line of JSON for each run')
  .addHelpText('after', '\nExample: conquer eval runs/demo')
  .action(
    async (
      paths: string[],
      options: { checkpoint: 'best' | 'last'; allMetrics?: boolean; json?: boolean },
      command: Command,
    ) => {
      const { evaluateRun } = await import('./eval.js');
      const { resultsTable } = await import('./results.js');
      const { findRuns } = await import('./runs.js');
      const { checkpoint, allMetrics = false } = options;
      const given = givenFlags(command);
      const rows: ResultRow[] = [];
      const failures: string[] = [];
      for (const { run, named } of findRuns(paths)) {
        let result: EvalResult;
        try {
          result = await evaluateRun({ run, checkpoint, given, allMetrics, out: process.stderr });
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
        if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
      }
      if (rows.length === 0)
        throw new UserError(`none of ${failures.length} runs can be evaluated: ${failures[0]}`);
      if (!options.json)
        process.stdout.write(
          `${resultsTable(rows)}\nin per cent${allMetrics ? '; rho, intra and inter as they are' : ''}; ${allMetrics ? 'NMI and F1' : 'NMI'} over ten k-means seeds\n`,
        );
    },
  );

program
  .command('runs')
  .description('list runs: how far they are and how good')
  .argument('[folder...]', 'run folders, or folders of them', ['runs'])
  .option('--filter <pattern>', 'keep runs whose path holds this; * stands for anything')
  .option('--sort <key>', 'name, epochs or a metric', 'R@1')
  .option('--json', 'print a line of JSON for each run')
  .addHelpText('after', "\nExample: conquer runs --filter 'emoji*' --sort MAP@R")
  .action(async (paths: string[], options: { filter?: string; sort: string; json?: boolean }) => {
    const { howToGoOn, listRuns } = await import('./runs.js');
    const { resultsTable } = await import('./results.js');
    const { filter, sort } = options;
    const { runs: states, damaged } = listRuns(paths, { sort, ...(filter !== undefined && { filter }) });
    if (options.json) {
      for (const state of [...states, ...damaged]) process.stdout.write(`${JSON.stringify(state)}\n`);
      return;
    }
    const rows = states.map(({ run, status, epochs, of, best, bestBy }) => ({
      name: `${run}  ${status} ${epochs}/${of}${best ? `, best ${best.epoch + 1}${bestBy === 'R@1' ? '' : ` by ${bestBy}`}` : epochs > 0 ? ', not measured' : ''}`,
      metrics: best?.metrics ?? {},
    }));
    const broken = damaged.map(({ run, problem }) => `${run} is damaged: ${problem}\n`).join('');
    process.stdout.write(
      `${resultsTable(rows)}\n${states.some(({ best }) => best) ? 'the best epoch of each, in per cent; chosen by R@1 (unless it says otherwise) on the test classes, where no --val-fraction set others aside\n' : ''}` +
        howToGoOn(states) +
        broken,
    );
  });

program
  .command('dashboard')
  .description('look at runs in the browser: curves, divisions, embeddings, retrievals')
  .argument('[runs]', 'a folder of runs, or a run', 'runs')
  .option('--host <address>', 'where to listen; any but loopback makes a token necessary [127.0.0.1]')
  .option('--port <n>', 'of the address; 0: any that is free [4280]')
  .option('--token <text>', 'what the address must hold (drawn at random where it is necessary)')
  .option('--open', 'open it in the browser')
  .addHelpText('after', '\nExample: conquer dashboard runs --open')
  .action(
    async (runsDir: string, options: { host?: string; port?: string; token?: string; open?: boolean }) => {
      const { runDashboard } = await import('./dashboard.js');
      const { findRun } = await import('./runs.js');
      await runDashboard({ runsDir: findRun(runsDir), ...options, out: process.stdout });
    },
  );

program
  .command('report')
  .description('write what the dashboard shows of a run, or of several, into one HTML file')
  .argument('<runs...>', 'run folders, or folders of runs')
  .option('--out <file>', 'the file (default, of one path: report.html in it)')
  .addHelpText('after', '\nExample: conquer report runs/demo --out demo.html')
  .action(async (runs: string[], { out: file }: { out?: string }) => {
    const { runReport } = await import('./report.js');
    const { findRun } = await import('./runs.js');
    await runReport({
      runs: runs.map(findRun),
      ...(file !== undefined && { file }),
      progress: process.stderr,
      out: process.stdout,
    });
  });

program
  .command('index')
  .description('embed the images of a folder with a trained run, to search them')
  .argument('<run>', 'the run folder')
  .argument('<folder>', 'images, in it or its subfolders')
  .option('--out <file>', 'the index (default: FOLDER.index.safetensors in the run folder)')
  .addOption(new Option('--checkpoint <which>', 'which weights').choices(['best', 'last']).default('best'))
  .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
  .option('--threads <n>', 'of libtorch and of reading images [one a core]')
  // As train and eval have them, for who gives all three the same; an index has no use for them, and says so.
  .addOption(new Option('--dataset-dir <path>').hideHelp())
  .addOption(new Option('--cache <name>').choices(['yes', 'no']).hideHelp())
  .addOption(
    new Option('--on-bad-image <what>', 'images that cannot be read: leave them out, or end')
      .choices(['skip', 'fail'])
      .default('skip'),
  )
  .option('--json', 'print one line of JSON')
  .addHelpText(
    'after',
    '\nImages that have not changed since the last time are not embedded again.\nExample: conquer index runs/demo photos',
  )
  .action(async (run: string, folder: string, options: IndexFlags) => {
    const { runIndex } = await import('./index-images.js');
    const { findRun } = await import('./runs.js');
    const { out: file, threads, json = false, datasetDir, cache, ...others } = options;
    const note = (text: string) => void process.stderr.write(`note: ${text}\n`);
    if (datasetDir !== undefined) note(`--dataset-dir has no effect: an index is of the images in ${folder}`);
    if (cache !== undefined) note('--cache has no effect: an index reads each image once');
    await runIndex({
      run: findRun(run),
      folder,
      file,
      ...others,
      threads: threads === undefined ? null : resolveSettings({}, { threads }).threads,
      json,
      progress: process.stderr,
      out: process.stdout,
    });
  });

program
  .command('search')
  .description('find the indexed images that are most like some images')
  .argument('<index>', 'what conquer index wrote')
  .argument('<image...>', 'image files')
  .option('--top <k>', 'matches of each image', '10')
  .option('--run <folder>', 'the run, if it is no longer where it was')
  .option('--folder <folder>', 'the folder of the indexed images, if it is no longer where it was')
  .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
  .option('--json', 'print a line of JSON for each image')
  .addHelpText('after', '\nExample: conquer search runs/demo/photos.index.safetensors new.jpg --top 5')
  .action(async (file: string, images: string[], options: SearchFlags) => {
    const { runSearch } = await import('./search.js');
    const { findRun } = await import('./runs.js');
    const unanswered = await runSearch({
      file,
      images,
      ...options,
      ...(options.run !== undefined && { run: findRun(options.run) }),
      json: options.json ?? false,
      out: process.stdout,
      warnings: process.stderr,
    });
    if (unanswered > 0) process.exitCode = 2;
  });

program
  .command('sync')
  .description('tell a tracker of a run that was trained without it')
  .argument('<run>', 'the run folder')
  .option('--wandb <project>', 'Weights & Biases: PROJECT or ENTITY/PROJECT; needs WANDB_API_KEY')
  .option('--mlflow <url>', 'the MLflow server at this address')
  .option('--tensorboard', "TensorBoard: event files in the run's folder")
  .addHelpText('after', '\nExample: conquer sync runs/demo --wandb my-project')
  .action(async (run: string, options: { wandb?: string; mlflow?: string; tensorboard?: boolean }) => {
    const { runSync } = await import('./track.js');
    const { findRun } = await import('./runs.js');
    const { wandb = null, mlflow = null, tensorboard = false } = options;
    await runSync({ run: findRun(run), wandb, mlflow, tensorboard, out: process.stdout });
  });

program
  .command('doctor')
  .description('look at this machine: what is slow or missing, and how to fix it')
  .option('--json', 'print one line of JSON')
  .addHelpText('after', '\nExample: conquer doctor')
  .action(async ({ json = false }: { json?: boolean }) => {
    const { runDoctor } = await import('./doctor.js');
    if (!(await runDoctor({ json, out: process.stdout }))) process.exitCode = 1;
  });

program
  .command('completion')
  .description('print the completion script of a shell')
  .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
  .addHelpText(
    'after',
    `
Put it where your shell starts:
  bash  echo 'source <(conquer completion bash)' >> ~/.bashrc
  zsh   echo 'source <(conquer completion zsh)' >> ~/.zshrc
  fish  echo 'conquer completion fish | source' >> ~/.config/fish/config.fish`,
  )
  .action(async (shell: Shell) => {
    const { completionScript } = await import('./completion.js');
    process.stdout.write(completionScript(shell));
  });

// What the scripts ask.
program
  .command('complete', { hidden: true })
  .argument('[words...]')
  .action(async (words: string[]) => {
    const { complete } = await import('./completion.js');
    for (const { value, about } of complete(program, words)) process.stdout.write(`${value}\t${about}\n`);
  });

// A reader that goes away, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (isGone(error)) return;
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
// Nor is a terminal: what SIGHUP stops is still to be saved.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (!isGone(error) && error.code !== 'EPIPE') throw error;
});

/** A terminal that was closed cannot be written to. */
function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EIO';
}

// Those of a training refuse it themselves, saying what they expect.
program.hook('preAction', (_, command) => {
  const empty = command.options.find((option) => command.getOptionValue(option.attributeName()) === '')?.long;
  if (empty && !Object.hasOwn(trainOptions, empty.slice(2)))
    throw new UserError(`${empty}: expected text, got ""`);
});

for (const command of [program, ...program.commands]) {
  command.exitOverride().configureOutput({
    outputError: (text, write) =>
      write(
        `conquer: ${text
          .replace(/^error: /, '')
          .trim()
          .replaceAll('\n', ' ')}\n`,
      ),
  });
}

/** What was typed, in this program's words. */
function argumentsOf(command: string | undefined, rest: readonly string[]): string[] {
  if (command === undefined) return [];
  let args = rest;
  if (command === 'train') {
    const translated = translateDcesmlFlags(rest);
    oldFlags = translated.old;
    args = translated.args;
  }
  const known = program.commands.find((each) => each.name() === command)?.options ?? [];
  args = withDashes(args, ['--help-all', ...known.flatMap(({ long }) => long ?? [])]);
  return [command, ...(command === 'train' ? chooseHelp(train, args) : args)];
}

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  try {
    await program.parseAsync(argumentsOf(command, rest), { from: 'user' });
  } catch (error) {
    await endWith(error, command);
  }
}

await main();
