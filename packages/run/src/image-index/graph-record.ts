import { isFields } from '../records/fields.js';
import type { EqualRows, GraphCopies } from './graph-copies.js';

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
  metric: 'cos' | 'ip';
  scalar: 'i8' | 'f16';
  /** Rows in it: those that were removed before are not, and of copies of a row the first alone. */
  rows: number;
  /**
   * The file that lists rows that are equal: the first of each is in the graph for all of them. None where left out. An earlier version has
   * the lists themselves here, which each write of the manifest then writes again.
   */
  copies?: GraphCopies | readonly EqualRows[];
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

function areSound(copies: unknown): boolean {
  if (Array.isArray(copies))
    return copies.every((equal) => Array.isArray(equal) && equal.every(Number.isSafeInteger));
  if (!isFields(copies)) return false;
  const { file, bytes, sha256 } = copies;
  return (
    typeof file === 'string' &&
    /^[0-9a-f]{16}\.copies$/.test(file) &&
    isCount(bytes) &&
    typeof sha256 === 'string'
  );
}

/** Names and hashes of the files of a graph. */
export function filesOfGraph({ file, sha256, copies = [] }: GraphRecord): { file: string; sha256: string }[] {
  return [{ file, sha256 }, ...('file' in copies ? [copies] : [])];
}

/** A manifest's graph; null for none, and for one of another version's making, which is passed over. */
export function graphOf(value: unknown): GraphRecord | null {
  if (!isFields(value)) return null;
  const { file, sha256, segment, metric, scalar, recall, copies = [] } = value;
  const sound =
    typeof file === 'string' &&
    /^[0-9a-f]{16}\.graph$/.test(file) &&
    typeof sha256 === 'string' &&
    typeof segment === 'string' &&
    (metric === 'cos' || metric === 'ip') &&
    (scalar === 'i8' || scalar === 'f16') &&
    typeof recall === 'number' &&
    areSound(copies) &&
    ['bytes', 'dim', 'rows', 'connectivity', 'width', 'k', 'queries'].every((name) => isCount(value[name]));
  return sound ? (value as unknown as GraphRecord) : null;
}
