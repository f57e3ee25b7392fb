import {
  type Division,
  divisionOf,
  type EpochRecord,
  epochRecordOf,
  type MaskRecord,
  maskRecordOf,
  type Settings,
  settingsOf,
} from '@conquer-dml/run';

// What a run's files hold may be of any size: so much of it, and no more, is for a page.

/** More learners than anyone trains; a bound, as matrices of this many rows and columns are made. */
const MAX_CLUSTERS = 256;
const MAX_TEXT = 10_000;

export const clip = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);

/** A line of metrics.jsonl without its profile, which no view shows. @param value as JSON.parse gives it */
export function shownEpoch(value: unknown): EpochRecord | null {
  const record = epochRecordOf(value);
  delete record?.profile;
  return record;
}

/** A line of divisions.jsonl. @param value as JSON.parse gives it */
export function shownDivision(value: unknown): Division | null {
  const division = divisionOf(value);
  if (division === null || division.numClusters > MAX_CLUSTERS) return null;
  return { ...division, notes: division.notes.map(clip) };
}

/** A line of masks.jsonl. @param value as JSON.parse gives it */
export function shownMasks(value: unknown): MaskRecord | null {
  const record = maskRecordOf(value);
  return record !== null && record.masks.length <= MAX_CLUSTERS ? record : null;
}

/** What config.json holds of settings. @param value as JSON.parse gives it */
export function shownSettings(value: unknown): Settings | null {
  const settings = settingsOf(value);
  if (settings === null) return null;
  const entries = Object.entries(settings);
  return Object.fromEntries(
    entries.map(([name, setting]) => [clip(name), typeof setting === 'string' ? clip(setting) : setting]),
  );
}
