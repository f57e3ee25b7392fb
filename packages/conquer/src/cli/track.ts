import { RunFolder, type Summary, UserError } from '@conquer/run';
import { buildNamed } from '../named-part.js';
import { OptionError } from '../option-error.js';
import type { RunEnd, Tracker, TrackerPart } from '../track/tracker.js';
import { trackers } from '../track/trackers.js';
import { Tracking } from '../track/tracking.js';
import type { TrainObserver } from '../train/loop.js';
import { joinObservers } from '../train/observers.js';
import type { TrainSettings } from './options.js';
import type { Output } from './terminal.js';

/** The trackers of these settings. @throws UserError for what cannot work, such as an address that is none */
export function trackersOf(settings: Pick<TrainSettings, 'tensorboard' | 'wandb' | 'mlflow'>): Tracker[] {
  const parts: readonly TrackerPart[] = trackers;
  return trackers.flatMap(({ name, options }) => {
    const value = settings[name];
    if (value === null || value === 'no') return [];
    // The flag says the one option that a tracker has.
    const given = Object.fromEntries(Object.keys(options.shape).map((option) => [option, value]));
    try {
      return [buildNamed(parts, { ...given, name }, {}, 'track')];
    } catch (error) {
      throw error instanceof OptionError ? new UserError(`--${name}: ${error.problem}`) : error;
    }
  });
}

/** Trackers that follow a run: an observer of its training, and what to call at its end. */
export interface Trackings {
  observer: TrainObserver;
  end(how: RunEnd, summary: Summary | null): Promise<void>;
}

/** Starts to tell trackers of a run. @param onWarning told in a line what goes wrong with one */
export function track(
  run: RunFolder,
  trackers: readonly Tracker[],
  onWarning: (message: string) => void,
): Trackings {
  const trackings = trackers.map((tracker) => new Tracking(tracker, { run, onWarning }));
  return {
    observer: joinObservers(trackings),
    async end(how, summary) {
      await Promise.all(trackings.map((tracking) => tracking.end(how, summary)));
    },
  };
}

export interface SyncCommand {
  run: string;
  tensorboard: boolean;
  wandb: string | null;
  mlflow: string | null;
  out: Output;
}

/** `conquer sync`: tells trackers of a run that is over, from its log. */
export async function runSync({ run, tensorboard, wandb, mlflow, out }: SyncCommand): Promise<void> {
  const asked = trackersOf({ tensorboard: tensorboard ? 'yes' : 'no', wandb, mlflow });
  if (asked.length === 0)
    throw new UserError('sync with what? Give --wandb PROJECT, --mlflow URL or --tensorboard');
  const folder = RunFolder.open(run);
  if (folder.epochs().length === 0) throw new UserError(`${run} has logged no epoch yet`);
  const settings = folder.settings();
  const follows =
    (tensorboard && settings.tensorboard === 'yes') ||
    (wandb !== null && settings.wandb === wandb) ||
    (mlflow !== null && settings.mlflow === mlflow);
  if (follows && folder.runningProcess() !== null)
    throw new UserError(`${run} is being trained, and tells of itself: wait until it has ended`);
  const failures: string[] = [];
  for (const tracker of asked) {
    const before = failures.length;
    const tracking = new Tracking(tracker, {
      run: folder,
      onWarning: (message) => failures.push(message),
      onNote: (message) => out.write(`note: ${message}\n`),
    });
    tracking.tellPast();
    const summary = folder.summary();
    await tracking.end(summary?.status ?? 'stopped', summary);
    if (failures.length === before)
      out.write(`${tracker.name} has ${folder.epochs().length} records of ${run}\n`);
  }
  if (failures.length > 0)
    throw new UserError(failures.join('; ').replaceAll('follows the run, which goes on', 'takes it'));
}
