import { existsSync } from 'node:fs';
import { readLines } from './disk/read.js';
import { writeFileAtomic } from './disk/write.js';
import { isEpoch, isFields } from './records/fields.js';

/**
 * Forgets the lines of a log after `epoch`; those that stay are as they were, whatever they hold.
 *
 * @param within of the epoch that training was stopped in, the lines before this step stay too
 * @throws UserError when the log is damaged or cannot be written
 */
export function rewind(file: string, epoch: number, within: { epoch: number; step: number } | null): void {
  if (!existsSync(file)) return;
  const begun = (record: Line) =>
    within !== null && record.epoch === within.epoch && (Number(record.step) || 0) < within.step;
  const kept = readLines(file, lineOf).filter((record) => record.epoch <= epoch || begun(record));
  writeFileAtomic(file, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

/** A line of any log: each belongs to an epoch. */
interface Line {
  epoch: number;
  step?: unknown;
}

function lineOf(value: unknown): Line | null {
  return isFields(value) && isEpoch(value.epoch) ? (value as unknown as Line) : null;
}
