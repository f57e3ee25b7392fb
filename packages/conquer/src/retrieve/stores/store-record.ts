import { type Calibration, calibrationOf, type IndexManifest, UserError } from '@conquer-dml/run';

const FORMAT = 'conquer-store-1';

/** How well a store's own index finds: by so many queries, of `k` nearest, when it held so many rows. */
export interface StoreGraph {
  /** Candidates that are asked for. */
  width: number;
  recall: number;
  k: number;
  queries: number;
  rows: number;
}

/** What is kept in a store beside items and rows. */
export interface StoreRecord {
  format: typeof FORMAT;
  /** D. */
  dim: number;
  origin: IndexManifest['origin'];
  calibration: Calibration | null;
  graph: StoreGraph | null;
}

export const storeRecord = (record: Omit<StoreRecord, 'format'>): StoreRecord => ({
  format: FORMAT,
  ...record,
});

/** @throws UserError for a text that is none */
export function parsedRecord(text: string, name: string): StoreRecord {
  let record: StoreRecord;
  try {
    record = JSON.parse(text) as StoreRecord;
  } catch {
    throw new UserError(`${name} is damaged: its record is no JSON; make the index again`);
  }
  if (record.format !== FORMAT || !Number.isSafeInteger(record.dim))
    throw new UserError(
      `${name}: expected an index of the format ${FORMAT}, got ${record.format}: it was written by another version`,
    );
  return { ...record, calibration: calibrationOf(record.calibration) };
}
