import type { Tensor } from '@conquer-dml/torch';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { StopCheck } from '../stop-check.js';

/** The nearest neighbours of some queries. */
export interface Found {
  /** (Q,) */
  queryLabels: Int32Array;
  /** (G,) */
  galleryLabels: Int32Array;
  /** (Q × width) row-major: places in the gallery, nearest first, the query itself left out. */
  neighbours: Int32Array;
  /** (Q,) how many images there are to be found, see `countRelevant`. */
  relevant: Int32Array;
}

/** Where queries are searched, and how many at a time. */
export interface Search {
  /** (M, D), (M,), and where the queries themselves stand in it; left out: the queries among each other. */
  gallery?: { embeddings: Tensor; labels: Int32Array; own?: OwnInGallery };
  blockSize?: number;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

interface Described {
  /** As results have them, where recall is reported at these k's. */
  names(recallAt: readonly number[]): readonly string[];
  /** What it is, in a line. */
  help: string;
  /** Fractions are shown in per cent. */
  shown: 'per cent' | 'plain';
  /** Measured only where all metrics are asked for. */
  extended: boolean;
  /** A higher one is better, and it is measured after each epoch: the best one can be chosen by it. */
  chooses: boolean;
  /** Of these authors' code: shown only beside what was published of it, or where their behaviour is asked for. */
  compat?: 'dcesml';
}

/** From the neighbours of some queries: means over these, one for each name. */
export interface NeighbourMetric extends Described {
  of: 'neighbours';
  measure(found: Found, recallAt: readonly number[]): number[];
}

/** From the ranking of the whole gallery, for which a second pass over all distances is needed: one for each name. */
export interface RankingMetric extends Described {
  of: 'rankings';
  /** @param relevant (N,) see `countRelevant` */
  measure(queries: Tensor, labels: Int32Array, relevant: Int32Array, search: Search): number[];
}

/** From two partitions of the images, by class and by k-means. With several of the latter: mean and standard deviation. */
export interface ClusterMetric extends Described {
  of: 'clusters';
  measure(classes: Int32Array, clusters: Int32Array): number;
}

/** From all rows, one for each name; null: there is none of these embeddings. */
export interface RowMetric extends Described {
  of: 'rows';
  measure(embeddings: Tensor, labels: Int32Array, stop?: StopCheck | undefined): (number | null)[];
}

/** What is measured of embeddings of unseen classes. A line in `metrics.ts` is all that makes one known. */
export type Metric = NeighbourMetric | RankingMetric | ClusterMetric | RowMetric;
