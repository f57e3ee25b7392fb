import { parentPort, workerData } from 'node:worker_threads';
import type { GroupPlace, ProcessGroup } from '@conquer-dml/torch';
import { type CarriedError, carried } from '../carried-error.js';
import type { Experiment } from '../experiment/experiment.js';
import { builtInParts } from '../experiment/experiment.js';
import { withPlugins } from '../experiment/plugin.js';
import { observerCalls, type TrainObserver } from '../train/observer.js';
import { trainRun } from '../train/train.js';
import { inGroup } from './group-place.js';
import { sharedSignal } from './shared-signal.js';

/** What a thread is to train. Plain data. */
export interface TrainingJob {
  experiment: Experiment;
  path: string;
  resume: boolean;
  cached: boolean | undefined;
  profile: boolean;
  plugins: readonly string[];
  /** Among the processes that train together; null: alone. */
  place: GroupPlace | null;
  /** One number: not 0 once the training is to end. */
  stop: SharedArrayBuffer;
}

/** What a training thread says: a call of the observer, or how it ended. */
export type TrainingMessage =
  | { call: keyof TrainObserver; args: unknown[] }
  | { summary: Awaited<ReturnType<typeof trainRun>> }
  | { error: CarriedError };

// `conquer train` trains here, so that signals, the progress line and the trackers have a thread that is never busy.
const port = parentPort!;
const { experiment, path, plugins, place, stop, ...request } = workerData as TrainingJob;
const say = (message: TrainingMessage) => port.postMessage(message);
const observer = Object.fromEntries(
  observerCalls.map((call) => [call, (...args: unknown[]) => say({ call, args })]),
) as TrainObserver;
try {
  const parts = await withPlugins(builtInParts, plugins);
  const signal = sharedSignal(stop, port);
  const train = async (group: ProcessGroup) =>
    say({ summary: await trainRun(experiment, { ...request, run: path, parts, observer, group, signal }) });
  await inGroup(place, train, { stop: signal });
} catch (error) {
  say({ error: carried(error) });
}
// Nothing more is to be heard: the thread ends.
port.close();
