import { existsSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { counted, RunFolder, type Settings, type Summary, UserError } from '@conquer/run';
import { Generator, numThreads } from '@conquer/torch';
import type { Dataset } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric } from '../evaluate/evaluate.js';
import { Interrupted } from '../interrupted.js';
import { Random } from '../random.js';
import { refuseBatchBeyondMemory } from '../train/batch-memory.js';
import { refuseOtherDataset, refuseOtherSettings } from '../train/continuation.js';
import { whetherLearnt } from '../train/learnt.js';
import { train } from '../train/loop.js';
import { joinObservers } from '../train/observers.js';
import { Profile } from '../train/profile.js';
import { seenClassesWarning } from '../train/seen-classes.js';
import { TrainingStep } from '../train/step.js';
import { announcement } from './announcement.js';
import {
  badImagesOf,
  divisionOf,
  minerOf,
  modelOf,
  openDatasetOf,
  optimizerOf,
  samplerOf,
  scheduleOf,
} from './assemble.js';
import { lossOf } from './assemble-loss.js';
import { setUpEngine } from './engine.js';
import { openImages } from './images.js';
import type { JsonLines } from './json-lines.js';
import { learningRateOf, withEpochs } from './learning-rate.js';
import { parseOption, resolveSettings, type TrainSettings } from './options.js';
import type { Published } from './recipe.js';
import { type ResultRow, resultsTable } from './results.js';
import { refuseDefaultStart, startWarning } from './start.js';
import { StopSignals } from './stop-signals.js';
import { type Output, TerminalObserver } from './terminal.js';
import { track, trackersOf } from './track.js';

/** What the data set of these settings holds, a line a split. */
export async function describeDataset(settings: TrainSettings, out: Output): Promise<string> {
  const dataset = await openDatasetOf(settings, out);
  const line = ({ name, paths, classNames }: Dataset['train']) =>
    `${dataset.name}, ${name}: ${counted(paths.length, 'image')} of ${counted(classNames.length, 'class', 'classes')}\n`;
  const { train: training, test, validation, gallery, testSets = [test] } = dataset;
  return [training, ...(validation ? [validation] : []), ...testSets, ...(gallery ? [gallery] : [])]
    .filter(({ paths }) => paths.length > 0)
    .map(line)
    .join('');
}

function defaultName(settings: TrainSettings): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  return `${settings.dataset}-${settings.arch}-${time}`;
}

export interface RunRequest {
  settings: TrainSettings;
  /** The run folder to go on with. */
  resume?: boolean;
  /** Keep decoded images on this machine's disk; by default as the settings have it. */
  cached?: boolean | undefined;
  /** Nothing was said of weights, BatchNorm and learning rate: a run that cannot learn is refused, not only warned of. */
  defaultStart?: boolean;
  /** Measure where the time goes. */
  profile?: boolean;
  /** Told what happens, for programs. */
  events?: JsonLines | undefined;
  out: Output;
}

/**
 * Trains one run from its settings to its summary.
 *
 * @throws UserError for settings or data that cannot work, before anything is written, and when the run folder cannot be
 * @throws Interrupted after SIGINT, SIGTERM or SIGHUP; the run can be resumed
 */
export async function runTraining({
  settings,
  resume = false,
  cached,
  defaultStart = false,
  profile = false,
  events,
  out,
}: RunRequest): Promise<Summary> {
  const schedule = scheduleOf(settings);
  const name = settings.name ?? defaultName(settings);
  const path = join(settings['runs-dir'], name);
  if (!resume) requireNameOfRun(name);
  const plain: Settings = { ...withAbsolutePaths(settings), name };
  using stop = new StopSignals(out);
  let unlock = () => {};
  using _ = { [Symbol.dispose]: () => unlock() };
  if (!resume && RunFolder.exists(path)) RunFolder.create(path, plain); // refuses, before the data are read
  const take = (run: RunFolder) => {
    unlock = run.lock();
    return run;
  };
  const resumed = resume ? take(RunFolder.open(path)) : null;
  setUpEngine(settings.threads, settings.device);
  const dropoutGenerator = new Generator(settings.seed, settings.device);

  const trackers = trackersOf(settings);
  const dataset = await stop.before(openDatasetOf(settings, out));
  if (defaultStart) refuseDefaultStart(settings);
  // train() refuses these too; here it is before anything is decoded or built.
  if (resumed) {
    refuseOtherSettings(path, resumed.settings(), plain);
    refuseOtherDataset(path, { record: resumed.dataset() }, recordOf(dataset));
  }
  if (!resumed?.hasCheckpoint)
    refuseTooManyClusters(
      schedule.mostClusters(settings.epochs),
      dataset.train.labels,
      settings['cluster-by'],
    );
  if (dataset.test.paths.length > 0) refuseOtherMetric(settings['best-by'], dataset.recallAt);
  const terminal = new TerminalObserver(out, settings['best-by']);
  const count = dataset.train.paths.length;
  if (settings['batch-size'] > count) {
    out.write(
      `warning: --batch-size ${settings['batch-size']} is more than the ${count} training images: batches repeat images\n`,
    );
  }
  const processors = availableParallelism();
  if ((settings.threads ?? 0) > processors)
    out.write(
      `warning: --threads ${settings.threads} on ${counted(processors, 'processor')}: threads wait for each other, which takes longer than fewer threads do\n`,
    );
  refuseBatchBeyondMemory(settings['batch-size'], settings['image-size'], settings.device);
  const onBad = (message: string) => terminal.onNote(message);
  const bad = await badImagesOf(settings, dataset, out, onBad, stop.signal);
  const generator = new Generator(settings.seed);
  const random = new Random(settings.seed);
  // A run that goes on has its weights in the checkpoint.
  const weights = resumed?.hasCheckpoint ? null : settings.weights;
  const seen = weights === null || isWord('weights', weights) ? null : seenClassesWarning(weights, dataset);
  if (seen !== null) out.write(`warning: ${seen}\n`);
  const model = await stop.before(modelOf({ ...settings, weights }, generator, dropoutGenerator, out));
  const loss = lossOf(settings, dataset.train.classNames.length, generator);
  const warning = resumed?.hasCheckpoint ? null : startWarning(settings);
  if (warning !== null) out.write(`warning: ${warning}\n`);
  const optimizer = optimizerOf(settings, model, loss, out);
  const miner = minerOf(settings, loss, random);
  const data = await openImages(settings, dataset, model.backbone.input, out, {
    bad,
    ...(cached !== undefined && { cached }),
    signal: stop.signal,
  });
  const run = resumed ?? take(RunFolder.create(path, plain));
  const threads = numThreads();
  out.write(announcement(settings, { dataset, threads, path }));
  events?.start({ run: path, dataset, device: settings.device, threads, settings: plain });

  const tracking = track(run, trackers, (message) => terminal.onNote(message));
  const stopwatch = profile ? new Profile() : undefined;
  const maskLambda = settings['mask-lambda'];
  try {
    const summary = await train({
      model,
      loss,
      optimizer,
      step: new TrainingStep({ model, loss, miner, optimizer, maskLambda, profile: stopwatch }),
      schedule,
      sampler: samplerOf(settings),
      data,
      epochs: settings.epochs,
      learningRate: learningRateOf(settings),
      ...divisionOf(settings),
      recallAt: dataset.recallAt,
      bestBy: settings['best-by'],
      evaluateUntrained: settings['evaluate-untrained'] === 'yes',
      ...(settings.compat === 'dcesml' && { compat: settings.compat }),
      onNan: settings['on-nan'],
      random,
      generator: dropoutGenerator,
      run,
      settings: plain,
      dataset,
      resume,
      signal: stop.signal,
      observer: joinObservers([terminal, ...(events ? [events] : []), tracking.observer]),
      profile: stopwatch,
    });
    events?.end(summary);
    await tracking.end('finished', summary);
    return summary;
  } catch (error) {
    terminal.end();
    const stopped = error instanceof Interrupted ? run.summary() : null;
    if (stopped) events?.end(stopped);
    await tracking.end(error instanceof Interrupted ? 'stopped' : 'failed', stopped);
    if (error instanceof Interrupted)
      throw new Interrupted(`stopped; go on with: npx conquer train --resume ${path}`);
    throw error;
  }
}

/**
 * The last block of a run: the table and where everything is.
 *
 * @param published numbers to compare with
 */
export function reportSummary(summary: Summary, out: Output, published: Published | null = null): void {
  const rows: ResultRow[] = [];
  const epoch = (n: number) => `epoch ${n + 1}`;
  if (summary.untrained) rows.push({ name: 'before training', metrics: summary.untrained });
  if (summary.best) rows.push({ name: `best (${epoch(summary.best.epoch)})`, metrics: summary.best.metrics });
  if (summary.last) rows.push({ name: `last (${epoch(summary.last.epoch)})`, metrics: summary.last.metrics });
  if (published) rows.push({ name: `published (${published.source})`, metrics: published.metrics });
  const marp = published !== null || summary.settings.compat === 'dcesml';
  if (summary.queries === 0) {
    out.write(
      '\nNothing was measured: every class trained, so that no unseen ones are left. How good the model is only the same ' +
        'settings without --train-on all tell.\n',
    );
  } else {
    out.write(`\nRetrieval and clustering of unseen classes, in per cent\n${resultsTable(rows, { marp })}\n`);
  }
  if (summary.best) {
    const { chosenBy, chosenOn } = summary.best;
    out.write(
      chosenOn === 'validation'
        ? `The best epoch was chosen by ${chosenBy} on the validation classes, which are none of these.\n`
        : `The best epoch was chosen by ${chosenBy} on these same classes: an optimistic number (--val-fraction sets others aside).\n`,
    );
  }
  const verdict = didNotLearn(summary);
  if (verdict !== null) out.write(`${verdict}\n`);
  const { train: training, divide, evaluate, total } = summary.seconds;
  out.write(
    `${total.toFixed(0)} s: ${training.toFixed(0)} s training (${summary.imagesPerSecond.toFixed(0)} images/s), ` +
      `${divide.toFixed(0)} s dividing, ${evaluate.toFixed(0)} s evaluating\n`,
  );
}

/** Where the best epoch is no better than chance makes it: that, and what to try. null where it is. */
export function didNotLearn(summary: Summary): string | null {
  const learnt = whetherLearnt(summary);
  if (learnt === null || learnt.better) return null;
  const percent = (fraction: number) => `${(100 * fraction).toFixed(1)} %`;
  const { metric, before, best, standardError } = learnt;
  if (before >= 1 && best >= 1) {
    return (
      `Whether it learnt cannot be told: ${metric} was 100 % before training already. Choose by another metric (--best-by), ` +
      'or test on more classes.'
    );
  }
  const { weights = null, lr, 'image-size': side } = summary.settings;
  const tries = [
    ...(weights === null || weights === 'none'
      ? ['pretrained weights (--weights imagenet; --recipe photos for photographs)']
      : []),
    `another learning rate than ${lr} (--lr)`,
    'more epochs (--epochs)',
    `larger images than ${side} px (--image-size)`,
    'more classes and images',
  ];
  return (
    `It did not learn: the best epoch has ${metric} ${percent(best)}, the network before training ${percent(before)}, and the standard ` +
    `error over ${counted(summary.queries, 'image')} is ${percent(standardError)}.\nTry ${tries.join(', ')}.`
  );
}

/** Where a run's files are. */
export function reportFiles(path: string, out: Output): void {
  const run = RunFolder.open(path);
  const relative = (file: string) => join(path, file.slice(run.path.length + 1));
  const checkpoints = [run.bestCheckpoint, run.lastCheckpoint].map((file) =>
    existsSync(file) ? relative(file) : `${relative(file)} (gone)`,
  );
  out.write(
    `\ncheckpoints  ${checkpoints.join(', ')}\n` +
      `run log      ${relative(run.metricsFile)}, ${relative(run.divisionsFile)}\n` +
      `summary      ${relative(run.summaryFile)}\n` +
      `look at it   npx conquer dashboard ${path}\n`,
  );
}

/** @throws UserError for a name that leads out of the folder of runs, or is none */
function requireNameOfRun(name: string): void {
  const inside = normalize(name).replace(/[/\\]+$/, '');
  if (!isAbsolute(name) && inside !== '.' && inside.split(/[/\\]/)[0] !== '..' && !name.includes('\0'))
    return;
  throw new UserError(
    `--name: expected a name for a folder in --runs-dir, got ${JSON.stringify(name)}; --runs-dir says where runs are kept`,
  );
}

/** The settings that name files, and words that they may hold instead. */
const paths = { 'dataset-dir': [], split: ['half', 'random'], weights: ['imagenet', 'none'], 'runs-dir': [] };

/** As config.json keeps them: it is read from other working folders too. */
function withAbsolutePaths(settings: TrainSettings): TrainSettings {
  const absolute = Object.entries(paths).flatMap(([name, words]: [string, string[]]) => {
    const value = settings[name as keyof typeof paths];
    return value === null || words.includes(value) ? [] : [[name, resolve(value)]];
  });
  return { ...settings, ...Object.fromEntries(absolute) };
}

/** Options of a run that goes on, or is evaluated: where its data are now, and what this machine is like. */
export const movable = ['dataset-dir', 'device', 'threads', 'on-bad-image'] as const;

/** What may differ in a run that goes on: how long it is, where it goes on, and who follows it. */
const mayChange: readonly string[] = [
  'epochs',
  'lr-after',
  ...movable,
  'cache',
  'split',
  'on-nan',
  'tensorboard',
  'wandb',
  'mlflow',
];

/**
 * The settings of a run of the command line.
 *
 * @param given in the place of its own
 * @param note told where a path was taken to lead that older runs keep relative to wherever they were started
 * @throws UserError for a run of trainEmbedding(), settings that are damaged, or a path that leads nowhere
 */
export function storedSettings(
  path: string,
  given: Record<string, unknown>,
  note: (text: string) => void,
): TrainSettings {
  const run = RunFolder.open(path);
  const stored = run.settings();
  if (Object.keys(stored).length === 0)
    throw new UserError(`${run.configFile} is damaged: expected the settings of the run, got none`);
  refuseOtherSettings(path, stored, { 'dataset-dir': null });
  let own: TrainSettings;
  try {
    own = resolveSettings(stored);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${run.configFile}: ${error.message}`) : error;
  }
  for (const name of ['dataset-dir', 'split'] as const) {
    const value = own[name];
    if (value === null || name in given || isWord(name, value)) continue;
    const absolute = resolve(value);
    const relative = isAbsolute(value) ? '' : ', relative to a folder that it did not record';
    if (!existsSync(absolute)) {
      throw new UserError(
        `${path} was started with --${name} ${value}${relative}, and ${absolute} is not there: give --${name} with the path that it has now`,
      );
    }
    if (!isAbsolute(value))
      note(`--${name} ${value}, as ${path} was started with, is taken to be ${absolute}`);
  }
  return resolveSettings(own, given);
}

const isWord = (name: keyof typeof paths, value: string) =>
  (paths[name] as readonly string[]).includes(value);

/** A run to go on with. */
export interface Resumption {
  settings: TrainSettings;
  cached?: boolean | undefined;
}

/**
 * What to go on with, of a run and what was given with `--resume`.
 *
 * @param note told what will be other than it was, in a line each
 * @throws UserError for what may not change, or a course of the learning rates that nobody has chosen
 */
export function resumption(
  path: string,
  flags: Record<string, unknown>,
  note: (text: string) => void,
): Resumption {
  const changed = Object.keys(flags).filter((name) => !mayChange.includes(name));
  if (changed.length > 0) {
    throw new UserError(
      `--resume goes on with the run's own settings: leave out --${changed.join(', --')} (only --${mayChange.join(', --')} may change)`,
    );
  }
  // The schedule and what the network sees of an image are the run's.
  const { epochs, 'lr-after': after, cache, ...given } = flags;
  const before = storedSettings(path, given, note);
  const number = epochs === undefined ? before.epochs : Number(parseOption('epochs', epochs));
  const chosen = parseOption('lr-after', after ?? null) as TrainSettings['lr-after'];
  const parent = dirname(path);
  return {
    settings: { ...withEpochs(before, number, chosen, note), 'runs-dir': parent, name: basename(path) },
    cached: cache === undefined ? undefined : cachedOf(before, cache, note),
  };
}

/**
 * Whether decoded images are kept where this was asked for. It changes nothing of what the network sees: where they
 * are not reduced, as with `--cache no` from the start, there is nothing to keep.
 */
export function cachedOf(settings: TrainSettings, cache: unknown, note: (text: string) => void): boolean {
  const cached = parseOption('cache', cache) === 'yes';
  if (cached && settings.cache === 'no')
    note(
      '--cache yes has no effect: the run was trained on images as their files hold them, not reduced to --resize',
    );
  return cached;
}

/** Moves a run out of the way of a new one of its name; nothing is deleted. Returns where to, if there was one. */
export function setAside(path: string): string | null {
  if (!RunFolder.exists(path)) return null;
  const aside = `${path}-before-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
  renameSync(path, aside);
  return aside;
}
