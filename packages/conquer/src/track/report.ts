import type { Division, EpochRecord, RunFolder, StepRecord } from '@conquer-dml/run';

/** A line of a run's log, as trackers are told it. `step`: how many had been trained since the run began. */
export type Report =
  | { kind: 'steps'; record: StepRecord; step: number }
  | { kind: 'division'; record: Omit<Division, 'clusters'>; step: number }
  /** The end of an epoch; -1: the network before training. */
  | { kind: 'epoch'; record: EpochRecord; step: number };

/**
 * All that a run's log holds, in the order in which it came about, the beginning of an epoch that was stopped included.
 *
 * @throws UserError when the log is damaged
 */
export function loggedReports(run: RunFolder): Report[] {
  const byEpoch = new Map<number, { divisions: Report[]; steps: Report[]; ends: Report[] }>();
  const of = (epoch: number) => {
    const found = byEpoch.get(epoch) ?? { divisions: [], steps: [], ends: [] };
    byEpoch.set(epoch, found);
    return found;
  };
  const [epochs, steps, divisions] = [run.epochs(), run.steps(), run.divisions()];
  const starts = new Map<number, number>();
  let trained = 0;
  for (const { epoch, steps = 0 } of epochs.toSorted((a, b) => a.epoch - b.epoch)) {
    starts.set(epoch, trained);
    trained += steps;
  }
  // An epoch that has no end yet is the last.
  const start = (epoch: number) => starts.get(epoch) ?? trained;
  for (const { clusters: _, ...record } of divisions)
    of(record.epoch).divisions.push({ kind: 'division', record, step: start(record.epoch) });
  for (const record of steps)
    of(record.epoch).steps.push({ kind: 'steps', record, step: start(record.epoch) + record.step + 1 });
  for (const record of epochs)
    of(record.epoch).ends.push({
      kind: 'epoch',
      record,
      step: start(record.epoch) + (record.steps ?? 0),
    });
  return [...byEpoch.entries()]
    .sort(([a], [b]) => a - b)
    .flatMap(([, { divisions, steps, ends }]) => [...divisions, ...steps, ...ends]);
}

/** Steps of the epochs that a run's log has the end of. */
export function stepsOfWholeEpochs(run: RunFolder): number {
  return run.epochs().reduce((sum, { steps = 0 }) => sum + steps, 0);
}
