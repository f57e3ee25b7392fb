import type { EpochRecord } from './epoch.js';
import { isEpoch, isFields } from './fields.js';
import { type Metrics, metricsOf } from './metrics.js';
import type { Settings } from './settings.js';

/**
 * The epoch that was best by the metric that was asked for (R@1): on the validation classes where there are some, else on
 * the test classes.
 */
export interface BestEpoch {
  epoch: number;
  /** On the test classes. */
  metrics: Metrics;
  validation?: Metrics;
}

/** The best epoch, and what it is best by. */
export interface ChosenEpoch extends BestEpoch {
  /** 'test': chosen on the very classes that `metrics` are of, so an optimistic number; say so where it is shown. */
  chosenOn: 'test' | 'validation';
  /** The metric that is highest there. */
  chosenBy: string;
}

/**
 * What a line of metrics.jsonl is compared by for the best epoch.
 * @param by name of a metric, see `choosingMetrics`
 */
export function scoreOf(
  { metrics, validation }: Pick<EpochRecord, 'metrics' | 'validation'>,
  by: string,
): number {
  return (validation ?? metrics)?.[by] ?? 0;
}

/** The metric that a run's best epoch is chosen by: R@1 where its settings name none. */
export function choosingMetricOf({ 'evaluate.bestBy': named }: Settings): string {
  return typeof named === 'string' ? named : 'R@1';
}

/** The first epoch of the highest score; null where none was evaluated after training. */
export function bestEpoch(
  records: readonly Pick<EpochRecord, 'epoch' | 'metrics' | 'validation'>[],
  chosenBy: string,
): ChosenEpoch | null {
  let best: ChosenEpoch | null = null;
  for (const { epoch, metrics, validation } of records) {
    if (epoch < 0 || !metrics) continue;
    const now: BestEpoch = { epoch, metrics, ...(validation && { validation }) };
    if (best === null || scoreOf(now, chosenBy) > scoreOf(best, chosenBy))
      best = { ...now, chosenOn: validation ? 'validation' : 'test', chosenBy };
  }
  return best;
}

/** @param value as JSON.parse gives it */
export function chosenEpochOf(value: unknown): ChosenEpoch | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const { epoch, chosenOn, chosenBy } = value;
  const [metrics, validation] = [metricsOf(value.metrics), metricsOf(value.validation)];
  if (!metrics || validation === undefined) return null;
  return {
    epoch,
    metrics,
    ...(validation && { validation }),
    chosenOn: chosenOn === 'validation' ? 'validation' : 'test',
    chosenBy: typeof chosenBy === 'string' ? chosenBy : 'R@1',
  };
}
