import type { Json } from '@conquer-dml/run';
import type { Explanation } from '../retrieve/explain.js';

/** What the thread of the model is asked for. Plain data, which goes from thread to thread. */
export type Job =
  | { kind: 'embed'; images: Uint8Array[] }
  | { kind: 'search'; images: Uint8Array[]; top: number; per: 'item' | 'image'; explain: boolean }
  | { kind: 'verify'; images: Uint8Array[]; explain: boolean }
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
  explanation?: Explanation;
}

/** What comes of each kind of job. */
export interface Answers {
  embed: { embeddings: number[][] };
  search: { matches: ServedMatch[][] };
  verify: { similarity: number; explanation?: Explanation };
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
}
