import { experimentOf } from '../experiment/read-experiment.js';
import type { StoredExperiment } from '../experiment/stored-experiment.js';
import { type ChosenEpoch, chosenEpochOf } from './best-epoch.js';
import { count, isEpoch, isFields } from './fields.js';
import { type Metrics, metricsOf } from './metrics.js';

/** summary.json, written when a run ends. `docs/run-folder.md` describes it. */
export interface Summary {
  /** 'stopped': by a signal; the run can be resumed. */
  status: 'finished' | 'stopped';
  /** What the run was, as config.json has it. */
  experiment: StoredExperiment;
  /** To train in all. */
  epochs: number;
  best: ChosenEpoch | null;
  /** Of the last whole epoch, on the test classes. */
  last: { epoch: number; metrics: Metrics } | null;
  /** Of the network before training, on the test classes; null where that was not evaluated. */
  untrained: Metrics | null;
  /** Images that were asked for, of which these metrics are means; 0: every class trained. */
  queries: number;
  /** Wall-clock seconds by phase, over all sessions of the run. */
  seconds: { divide: number; train: number; evaluate: number; total: number };
  /** Training images a second, while training. */
  imagesPerSecond: number;
  /** Absolute paths; relative to the run folder in the file, which may move. */
  checkpoints: { best: string; last: string };
}

/** summary.json without its checkpoints; null for what is none. @param value as JSON.parse gives it */
export function summaryOf(value: unknown): Omit<Summary, 'checkpoints'> | null {
  if (!isFields(value)) return null;
  const { status } = value;
  if (status !== 'finished' && status !== 'stopped') return null;
  const seconds = isFields(value.seconds) ? value.seconds : {};
  return {
    status,
    experiment: storedIn(value.experiment ?? value.settings),
    epochs: count(value.epochs),
    best: chosenEpochOf(value.best),
    last: lastEpochOf(value.last),
    untrained: metricsOf(value.untrained) ?? null,
    queries: count(value.queries),
    seconds: {
      divide: count(seconds.divide),
      train: count(seconds.train),
      evaluate: count(seconds.evaluate),
      total: count(seconds.total),
    },
    imagesPerSecond: count(value.imagesPerSecond),
  };
}

/** Older summaries have it in their dialect; a damaged one has nothing. */
function storedIn(value: unknown): StoredExperiment {
  try {
    return experimentOf(value, 'summary.json');
  } catch {
    return {};
  }
}

function lastEpochOf(value: unknown): Summary['last'] {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const metrics = metricsOf(value.metrics);
  return metrics ? { epoch: value.epoch, metrics } : null;
}
