import { isFields } from '../records/fields.js';

/** What a graph for approximate searches of one segment is made with, and how well it was seen to find. */
export interface GraphRecord {
  /** NAME.graph, in the format of usearch. Its keys are rows of the segment. */
  file: string;
  bytes: number;
  sha256: string;
  /** Whose rows it is of. */
  segment: string;
  /** D, and how it compares and holds rows. */
  dim: number;
  metric: 'cos';
  scalar: 'i8' | 'f16';
  /** Rows in it: those that were removed before are not. */
  rows: number;
  /** Neighbours of a row in the graph. */
  connectivity: number;
  /** Candidates that a search asks it for, of which the exact similarity then decides. */
  width: number;
  /** The share of the exact k nearest that so many queries found. */
  recall: number;
  k: number;
  queries: number;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

/** A manifest's graph; null for none, and for one of another version's making, which is passed over. */
export function graphOf(value: unknown): GraphRecord | null {
  if (!isFields(value)) return null;
  const { file, sha256, segment, metric, scalar, recall } = value;
  const sound =
    typeof file === 'string' &&
    /^[0-9a-f]{16}\.graph$/.test(file) &&
    typeof sha256 === 'string' &&
    typeof segment === 'string' &&
    metric === 'cos' &&
    (scalar === 'i8' || scalar === 'f16') &&
    typeof recall === 'number' &&
    ['bytes', 'dim', 'rows', 'connectivity', 'width', 'k', 'queries'].every((name) => isCount(value[name]));
  return sound ? (value as unknown as GraphRecord) : null;
}
