import type { DivisionView, EpochRecord, StepRecord } from '@conquer-dml/run';
import { type DivisionFlow, type EpochSteps, MAX_DIVISIONS, MAX_RECORDS, MAX_STEPS } from './api.js';

// A long run has more lines than a page can hold, or a curve can show.

/** At most MAX_STEPS records, each the mean of as many neighbours, at the place of the last of them. */
export function thinnedSteps(steps: readonly StepRecord[]): StepRecord[] {
  const each = Math.ceil(steps.length / MAX_STEPS);
  if (each <= 1) return [...steps];
  return groupsOf(steps, each).map((group) => ({
    ...(group.at(-1) as StepRecord),
    metricLoss: mean(group.map(({ metricLoss }) => metricLoss)),
    maskLoss: mean(group.map(({ maskLoss }) => maskLoss)),
    imagesPerSecond: mean(group.map(({ imagesPerSecond }) => imagesPerSecond)),
    skipped: group.reduce((sum, { skipped }) => sum + skipped, 0),
    ...(group.some(({ zeroLoss }) => zeroLoss !== undefined) && {
      zeroLoss: group.reduce((sum, { zeroLoss = 0 }) => sum + zeroLoss, 0),
    }),
  }));
}

/**
 * At most MAX_RECORDS records as they are: the network before training, the best epoch, the last one, and of as many
 * neighbours the last that was evaluated.
 */
export function thinnedRecords(records: readonly EpochRecord[], best: number | null): EpochRecord[] {
  if (records.length <= MAX_RECORDS) return [...records];
  const kept = new Set(records.filter(({ epoch }) => epoch < 0 || epoch === best).slice(0, 2));
  const last = records.at(-1);
  if (last) kept.add(last);
  const each = Math.ceil(records.length / (MAX_RECORDS - kept.size));
  for (const group of groupsOf(records, each)) {
    const shown = group.findLast(({ metrics }) => metrics !== null) ?? group.at(-1);
    if (shown) kept.add(shown);
  }
  return records.filter((record) => kept.has(record));
}

/** The last MAX_DIVISIONS divisions, and what moved between them. */
export function lastDivisions(
  divisions: readonly DivisionView[],
  flows: readonly DivisionFlow[],
): { divisions: DivisionView[]; flows: DivisionFlow[]; divisionsBefore: number } {
  const divisionsBefore = Math.max(0, divisions.length - MAX_DIVISIONS);
  return {
    divisions: divisions.slice(divisionsBefore),
    flows: flows.slice(divisionsBefore),
    divisionsBefore,
  };
}

/** Every so many, at most `most`, the last one among them. */
export function evenly<T>(values: readonly T[], most: number): T[] {
  const each = Math.max(1, Math.ceil(values.length / most));
  return values.filter((_, i) => (values.length - 1 - i) % each === 0);
}

/** The steps of each epoch, noted where their number changes. */
export function epochSteps(steps: ReadonlyMap<number, number>): EpochSteps[] {
  const changes: EpochSteps[] = [];
  for (const [epoch, count] of [...steps].sort(([a], [b]) => a - b))
    if (changes.at(-1)?.steps !== count) changes.push({ epoch, steps: count });
  return changes;
}

function groupsOf<T>(values: readonly T[], each: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / each) }, (_, i) =>
    values.slice(i * each, (i + 1) * each),
  );
}

function mean(values: (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null;
}
