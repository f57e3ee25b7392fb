import { UserError } from '@conquer-dml/run';
import { classDistance } from './class-distances.js';
import { mapAtR } from './map-at-r.js';
import { marp } from './marp.js';
import { meanAveragePrecisions } from './mean-average-precision.js';
import type { Metric } from './metric.js';
import { nmi } from './nmi.js';
import { f1 } from './pair-f1.js';
import { recall } from './recall.js';
import { rho } from './spectral-decay.js';

/** All metrics, in the order of results. */
export const metrics = [
  recall,
  mapAtR,
  marp,
  meanAveragePrecisions,
  nmi,
  f1,
  rho,
  classDistance,
] as const satisfies readonly Metric[];

/** The metrics that the best epoch can be chosen by, where recall is reported at these k's: a higher one is better. */
export function choosingMetrics(recallAt: readonly number[]): string[] {
  return metrics.filter(({ chooses }) => chooses).flatMap(({ names }) => names(recallAt));
}

/** @throws UserError for a metric that the best epoch cannot be chosen by */
export function refuseOtherMetric(name: string, recallAt: readonly number[]): void {
  const choices = choosingMetrics(recallAt);
  if (!choices.includes(name))
    throw new UserError(`expected one of ${choices.join(', ')} to choose the best epoch by, got '${name}'`);
}
