import { count, isEpoch, isFields } from './fields.js';

/** How the training images are shared out among the learners; a line of divisions.jsonl. */
export interface Division {
  /** (N,) the cluster, and so the learner, of each training image; -1: left out. */
  clusters: Int32Array;
  numClusters: number;
  /** The epoch at whose start it was made. */
  epoch: number;
  /** Images in each cluster. */
  sizes: number[];
  /** Classes in each cluster. */
  classCounts: number[];
  /** Images that are the only one of their class in their cluster. */
  leftOut: number;
  /** Images whose learner is not the one of the division before (after the reassignment, before the split). */
  moved: number;
  /** What did not come out as wanted, in words. Empty where all did. */
  notes: string[];
}

/** A division without the cluster of every image: what is told of it. */
export type DivisionView = Omit<Division, 'clusters'>;

/** A line of divisions.jsonl; null for what is none. @param value as JSON.parse gives it */
export function divisionOf(value: unknown): Division | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const { epoch, numClusters, sizes, classCounts, notes } = value;
  if (!Number.isInteger(numClusters) || !Array.isArray(sizes) || !Array.isArray(classCounts)) return null;
  const k = numClusters as number;
  if (k < 1 || sizes.length !== k || classCounts.length !== k) return null;
  const clusters = Int32Array.from(Array.isArray(value.clusters) ? value.clusters : [], Number);
  if (clusters.some((cluster) => cluster < -1 || cluster >= k)) return null;
  return {
    epoch,
    numClusters: k,
    sizes: sizes.map(count),
    classCounts: classCounts.map(count),
    leftOut: count(value.leftOut),
    moved: count(value.moved),
    notes: (Array.isArray(notes) ? notes : []).filter((note) => typeof note === 'string'),
    clusters,
  };
}
