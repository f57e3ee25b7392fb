import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { Generator, numThreads } from '@conquer/torch';
import { counted } from '../counted.js';
import type { Dataset } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { Interrupted, UserError } from '../error.js';
import { Random } from '../random.js';
import { refuseOtherDataset, refuseOtherSettings } from '../train/continuation.js';
import { train } from '../train/loop.js';
import { joinObservers } from '../train/observers.js';
import { Profile } from '../train/profile.js';
import { RunFolder, type Settings, type Summary } from '../train/run-folder.js';
import { TrainingStep } from '../train/step.js';
import { announcement } from './announcement.js';
import {
  badImagesOf,
  divisionOf,
  learningRateOf,
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
import { resolveSettings, type TrainSettings } from './options.js';
import type { Published } from './recipe.js';
import { type ResultRow, resultsTable } from './results.js';
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
 * @throws Interrupted after SIGINT or SIGTERM; the run can be resumed
 */
export async function runTraining({
  settings,
  resume = false,
  profile = false,
  events,
  out,
}: RunRequest): Promise<Summary> {
  const schedule = scheduleOf(settings);
  const name = settings.name ?? defaultName(settings);
  const path = join(settings['runs-dir'], name);
  const plain: Settings = { ...settings, name };
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

  const trackers = await trackersOf(settings);
  const dataset = await stop.before(openDatasetOf(settings, out));
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
  const terminal = new TerminalObserver(out);
  const onBad = (message: string) => terminal.onNote(message);
  const bad = await badImagesOf(settings, dataset, out, onBad, stop.signal);
  const generator = new Generator(settings.seed);
  const random = new Random(settings.seed);
  // A run that goes on has its weights in the checkpoint.
  const weights = resumed?.hasCheckpoint ? null : settings.weights;
  const model = await stop.before(modelOf({ ...settings, weights }, generator, dropoutGenerator, out));
  const loss = lossOf(settings, dataset.train.classNames.length, generator);
  const optimizer = optimizerOf(settings, model, loss, out);
  const miner = minerOf(settings, loss, random);
  const data = await openImages(settings, dataset, model.backbone.input, out, { bad, signal: stop.signal });
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
  out.write(`\nRetrieval and clustering of unseen classes, in per cent\n${resultsTable(rows, { marp })}\n`);
  if (summary.best) {
    out.write(
      summary.best.chosenOn === 'validation'
        ? 'The best epoch was chosen by R@1 on the validation classes, which are none of these.\n'
        : 'The best epoch was chosen by R@1 on these same classes: an optimistic number (--val-fraction sets others aside).\n',
    );
  }
  const { train: training, divide, evaluate, total } = summary.seconds;
  out.write(
    `${total.toFixed(0)} s: ${training.toFixed(0)} s training (${summary.imagesPerSecond.toFixed(0)} images/s), ` +
      `${divide.toFixed(0)} s dividing, ${evaluate.toFixed(0)} s evaluating\n`,
  );
}

/** Where a run's files are. */
export function reportFiles(path: string, out: Output): void {
  const run = RunFolder.open(path);
  const relative = (file: string) => join(path, file.slice(run.path.length + 1));
  out.write(
    `\ncheckpoints  ${relative(run.bestCheckpoint)}, ${relative(run.lastCheckpoint)}\n` +
      `run log      ${relative(run.metricsFile)}, ${relative(run.divisionsFile)}\n` +
      `summary      ${relative(run.summaryFile)}\n` +
      `look at it   npx conquer dashboard ${path}\n`,
  );
}

/** What may differ in a run that goes on: how long it is, and who follows it. */
const mayChange = ['epochs', 'tensorboard', 'wandb', 'mlflow'];

/** Settings of a run to go on with. */
export function resumedSettings(path: string, flags: Record<string, unknown>): TrainSettings {
  const stored = RunFolder.open(path).settings();
  const changed = Object.keys(flags).filter((name) => !mayChange.includes(name));
  if (changed.length > 0) {
    throw new UserError(
      `--resume goes on with the run's own settings: leave out --${changed.join(', --')} (only --${mayChange.join(', --')} may change)`,
    );
  }
  const parent = join(path, '..');
  return resolveSettings(stored, flags, { 'runs-dir': parent === '' ? '.' : parent });
}

/** Moves a run out of the way of a new one of its name; nothing is deleted. Returns where to, if there was one. */
export function setAside(path: string): string | null {
  if (!RunFolder.exists(path)) return null;
  const aside = `${path}-before-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
  renameSync(path, aside);
  return aside;
}
