import type { Division, EpochRecord, StepRecord } from '@conquer-dml/run';
import type { Report } from './report.js';

/** Numbers by name, grouped by the part before the slash, as trackers show them. */
export type Scalars = Record<string, number>;

const named = (entries: Record<string, number | null | undefined>): Scalars =>
  Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  );

const grouped = (group: string, values: Record<string, number> = {}): Scalars =>
  named(Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value])));

/** What an epoch measured: fractions as such, times in seconds. */
function epochScalars(record: EpochRecord): Scalars {
  const { metrics, validation, metricLoss, maskLoss, images, numLearners, skipped, seconds } = record;
  const { zeroLoss, anchorsWithoutTuples } = record;
  return {
    ...grouped('test', metrics ?? {}),
    ...grouped('validation', validation),
    ...named({
      'train/metric loss': metricLoss,
      'train/mask loss': maskLoss,
      'train/images per second': images && seconds.train ? images / seconds.train : undefined,
      'train/skipped batches': skipped,
      'train/batches with a loss of 0': zeroLoss,
      'train/anchors without tuples': anchorsWithoutTuples,
      'division/learners': numLearners,
    }),
    ...grouped('learning rate', record.learningRates),
    ...grouped('seconds', seconds as Record<string, number>),
  };
}

/** What about a second of steps measured. */
function stepScalars({ metricLoss, maskLoss, imagesPerSecond }: StepRecord): Scalars {
  return named({
    'steps/metric loss': metricLoss,
    'steps/mask loss': maskLoss,
    'steps/images per second': imagesPerSecond,
  });
}

function divisionScalars({ numClusters, sizes, moved, leftOut }: Omit<Division, 'clusters'>): Scalars {
  return named({
    'division/clusters': numClusters,
    'division/largest': Math.max(...sizes),
    'division/smallest': Math.min(...sizes),
    'division/moved': moved,
    'division/left out': leftOut,
  });
}

export function scalarsOf(report: Report): Scalars {
  if (report.kind === 'steps') return stepScalars(report.record);
  return report.kind === 'division' ? divisionScalars(report.record) : epochScalars(report.record);
}

/**
 * Where a report lies on an axis of its own kind: steps by steps, all else by epochs, at 0 the network before training.
 */
export function placeOf({ kind, record, step }: Report): number {
  if (kind === 'steps') return step;
  return kind === 'division' ? record.epoch : record.epoch + 1;
}
