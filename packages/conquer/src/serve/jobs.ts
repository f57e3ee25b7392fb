import type { Json, MatchThreshold } from '@conquer-dml/run';
import type { Explanation } from '../retrieve/explain.js';

/** What the thread of the model is asked for. Plain data, which goes from thread to thread. */
export type Job =
  | { kind: 'embed'; images: Uint8Array[] }
  | {
      kind: 'search';
      images: Uint8Array[];
      top: number;
      per: 'item' | 'image';
      /** Only of items that have it; null: of all. */
      label: string | null;
      /** A rate of the calibration's, by which matches are left out; null: all are given. */
      maxFalseMatch: number | null;
      classify: boolean;
      /** By the index's graph. */
      approximate: boolean;
      explain: boolean;
    }
  | { kind: 'verify'; images: Uint8Array[]; maxFalseMatch: number | null; explain: boolean }
  | { kind: 'add'; images: Uint8Array[]; item: { id: string; labels: string[]; payload: Json } }
  | { kind: 'remove'; id: string }
  | { kind: 'list'; after: string | null; limit: number }
  | { kind: 'reload' };

/** An item of the index as it is answered. */
export interface ServedItem {
  id: string;
  labels: string[];
  /** JSON. */
  payload: unknown;
  /** Of its images, relative to the index's folder; null: of no file. */
  paths: (string | null)[];
}

export interface ServedMatch {
  id: string;
  labels: string[];
  /** JSON. */
  payload: unknown;
  /** Of the image that is alike, relative to the index's folder; null: of no file. */
  path: string | null;
  /** Which of the item's images that is, from 0. */
  image: number;
  /** The cosine of both embeddings, -1 to 1. */
  similarity: number;
  /** That both are of one class, where as many pairs are as are not; of what is calibrated. */
  probability?: number;
  explanation?: Explanation;
}

/** What the nearest items that have a class say an image is, by a vote. */
export interface ServedClass {
  /** null: no item has a class. */
  label: string | null;
  /** Its share of the votes, 0 to 1. */
  confidence: number;
  /** The most votes first. */
  votes: { label: string; share: number }[];
}

export interface SearchAnswer {
  /** For each image. */
  matches: ServedMatch[][];
  /** For each image, whether there is a match; where a false-match rate was asked for. */
  accepted?: boolean[];
  /** By which that was decided. */
  threshold?: MatchThreshold;
  /** For each image, where they were asked for. */
  classes?: ServedClass[];
}

export interface VerifyAnswer {
  similarity: number;
  /** null: it is not calibrated. */
  probability: number | null;
  /** Whether the two are at least as alike as the threshold; null: it is not calibrated. */
  answer: 'same' | 'different' | null;
  threshold: MatchThreshold | null;
  explanation?: Explanation;
}

/** What comes of each kind of job. */
export interface Answers {
  embed: { embeddings: number[][] };
  search: SearchAnswer;
  verify: VerifyAnswer;
  add: { added: string; count: number };
  remove: { removed: string; count: number };
  list: { items: ServedItem[]; count: number };
  /** Whether the index on the disk was another one than was served. */
  reload: { count: number; changed: boolean };
}

/** What the service is of. */
export interface ServiceInfo {
  /** What the model was opened from. */
  model: string;
  /** Numbers of an embedding. */
  dimensions: number;
  /** null: there is no index, only a model. */
  index: { path: string; items: number } | null;
  /** What similarities mean, and the false-match rates that can be asked for; null: it is not known. */
  calibration: { source: string; rates: number[] } | null;
}
