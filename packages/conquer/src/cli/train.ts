import { existsSync, renameSync } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';
import { counted, RunFolder, type Summary, UserError, valueAt } from '@conquer-dml/run';
import { type GroupPlace, ProcessGroupError } from '@conquer-dml/torch';
import { buildTrackers } from '../experiment/build.js';
import { builtInParts, type Experiment, type Parts } from '../experiment/experiment.js';
import type { Published } from '../experiment/recipe.js';
import { Interrupted } from '../interrupted.js';
import { isChosenBlindly, whetherLearnt, whyRecallCannotTell } from '../train/learnt.js';
import type { TrainObserver } from '../train/observer.js';
import { announcement } from './announcement.js';
import { withFlags } from './fill.js';
import { flagsOf } from './flags.js';
import { Followers } from './followers.js';
import { trainInThread } from './in-thread.js';
import type { JsonLines } from './json-lines.js';
import { type ResultRow, resultsTable } from './results.js';
import { StopSignals } from './stop-signals.js';
import { type Output, TerminalObserver } from './terminal.js';
import { unusedOptions } from './unused-options.js';

export interface RunRequest {
  experiment: Experiment;
  /** The run folder, to make or to go on with. */
  path: string;
  resume?: boolean;
  /** Keep decoded images on this machine's disk; by default as the experiment has it. */
  cached?: boolean | undefined;
  /** Measure where the time goes. */
  profile?: boolean;
  /** What names mean; those of the program where nothing is said. */
  parts?: Parts;
  /** Files that some of the parts are from. */
  plugins?: readonly string[];
  /** Among the processes that train together, of which rank 0 prints and tells trackers; null: alone. */
  place?: GroupPlace | null;
  /** Flags that were given, of which some may turn out to do nothing once the data are known. */
  given?: readonly string[] | undefined;
  /** Told what happens, for programs. */
  events?: JsonLines | undefined;
  out: Output;
}

/**
 * Trains one run from its experiment to its summary.
 *
 * @throws UserError for an experiment or data that cannot work, before anything is written, and when the run folder cannot be
 * @throws Interrupted after SIGINT, SIGTERM or SIGHUP; the run can be resumed
 */
export async function runTraining(request: RunRequest): Promise<Summary> {
  const {
    experiment,
    path,
    resume = false,
    cached,
    profile = false,
    plugins = [],
    parts = builtInParts,
    place = null,
    given = [],
    events,
    out,
  } = request;
  using stop = new StopSignals(out);
  const flags = flagsOf(parts);
  const terminal = new TerminalObserver(out, experiment.evaluate.bestBy, (text) => withFlags(text, flags));
  const isFirst = place === null || place.rank === 0;
  const trackers = !isFirst ? [] : buildTrackers(experiment, { parts });
  const followers = new Followers(trackers, (message) => terminal.onWarning(message));
  // What does nothing whatever the data are was said before.
  const known = unusedOptions(experiment, given, parts);
  try {
    const begun: TrainObserver = {
      onBegin(info) {
        out.write(announcement(info.experiment, { ...info, path }));
        for (const text of unusedOptions(info.experiment, given, parts))
          if (!known.includes(text)) terminal.onWarning(text);
      },
    };
    const summary = await trainInThread(
      { experiment, path, resume, cached, profile, plugins, place },
      isFirst ? [begun, terminal, ...(events ? [events] : []), followers] : [],
      stop.signal,
    );
    events?.end(summary);
    await followers.end('finished', summary);
    return summary;
  } catch (error) {
    terminal.end();
    const interrupted = error instanceof Interrupted;
    const stopped = interrupted && RunFolder.exists(path) ? RunFolder.open(path).summary() : null;
    if (stopped) events?.end(stopped);
    await followers.end(interrupted ? 'stopped' : 'failed', stopped);
    if (error instanceof ProcessGroupError && RunFolder.exists(path))
      throw new UserError(`${error.message}; go on with: npx conquer train --resume ${path}`);
    if (stopped) throw new Interrupted(`stopped; go on with: npx conquer train --resume ${path}`);
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
  const ofPairs = valueAt(summary.experiment, 'data.dataset.name') === 'pairs';
  const what = ofPairs ? 'pairs' : 'classes';
  const compat = published !== null || valueAt(summary.experiment, 'compat') === 'dcesml';
  if (summary.queries === 0) {
    out.write(
      '\nNothing was measured: every class trained, so that no unseen ones are left. How good the model is only the same ' +
        'settings without --train-on all tell.\n',
    );
  } else {
    out.write(
      `\n${ofPairs ? 'Verification of unseen pairs' : 'Retrieval and clustering of unseen classes'}, in per cent\n${resultsTable(rows, { compat })}\n`,
    );
  }
  if (summary.best) {
    const { chosenBy, chosenOn } = summary.best;
    out.write(
      chosenOn === 'validation'
        ? `The best epoch was chosen by ${chosenBy} on the validation ${what}, which are none of these.\n`
        : `The best epoch was chosen by ${chosenBy} on these same ${what}: an optimistic number (--val-fraction sets others aside).\n`,
    );
  }
  for (const verdict of [recallCannotTell(summary), didNotLearn(summary)])
    if (verdict !== null) out.write(`${verdict}\n`);
  const { train: training, divide, evaluate, total } = summary.seconds;
  out.write(
    `${total.toFixed(0)} s: ${training.toFixed(0)} s training (${summary.imagesPerSecond.toFixed(0)} images/s), ` +
      `${divide.toFixed(0)} s dividing, ${evaluate.toFixed(0)} s evaluating\n`,
  );
}

const percent = (fraction: number) => `${(100 * fraction).toFixed(1)} %`;

/** Where R@1 says too little: why, and what to go by. null where it can tell. */
export function recallCannotTell(summary: Summary): string | null {
  const why = whyRecallCannotTell(summary, percent);
  if (why === null) return null;
  const choose = isChosenBlindly(summary) ? ', and choose the best epoch by it (--best-by MAP@R)' : '';
  return `R@1 cannot tell here: ${why}. Go by MAP@R${choose}.`;
}

/** Where the best epoch is no better than chance makes it: that, and what to try. null where it is. */
export function didNotLearn(summary: Summary): string | null {
  const learnt = whetherLearnt(summary);
  if (learnt === null || learnt.better || isChosenBlindly(summary)) return null;
  const { metric, before, best, standardError } = learnt;
  if (before >= 1 && best >= 1) {
    return (
      `Whether it learnt cannot be told: ${metric} was 100 % before training already. Choose by another metric (--best-by), ` +
      'or test on more classes.'
    );
  }
  const [weights, lr, side] = ['model.weights', 'optimize.learningRate', 'data.imageSize'].map((path) =>
    valueAt(summary.experiment, path),
  );
  const tries = [
    ...((weights ?? null) === null
      ? ['pretrained weights (--weights imagenet; --recipe photos for photographs)']
      : []),
    `another learning rate than ${lr} (--lr)`,
    'more epochs (--epochs)',
    `larger images than ${side} px (--image-size)`,
    'more classes and images',
  ];
  const within =
    best > before
      ? `, which is within the standard error that a mean over ${counted(summary.queries, 'image')} may have, ${percent(standardError)}`
      : '';
  return (
    `${best > before ? 'It may not have learnt' : 'It did not learn'}: the best epoch has ${metric} ${percent(best)}, the network before ` +
    `training ${percent(before)}${within}.\nTry ${tries.join(', ')}.`
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
export function requireNameOfRun(name: string): void {
  const inside = normalize(name).replace(/[/\\]+$/, '');
  if (!isAbsolute(name) && inside !== '.' && inside.split(/[/\\]/)[0] !== '..' && !name.includes('\0'))
    return;
  throw new UserError(
    `--name: expected a name for a folder in --runs-dir, got ${JSON.stringify(name)}; --runs-dir says where runs are kept`,
  );
}

/** Moves a run out of the way of a new one of its name; nothing is deleted. Returns where to, if there was one. */
export function setAside(path: string): string | null {
  if (!RunFolder.exists(path)) return null;
  const aside = `${path}-before-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
  renameSync(path, aside);
  return aside;
}
