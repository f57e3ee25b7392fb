import type { Tensor } from '@conquer-dml/torch';
import type { StopCheck } from '../stop-check.js';

/** What the search of one query found. */
export interface Hits {
  /** Ascending, from 1: the places of the images to be found, as far as was looked. */
  ranks: readonly number[] | Int32Array;
  /** R, how many images there are to be found, see `countRelevant`. */
  relevant: number;
  /** How many images are searched, without those that the query leaves out. */
  size: number;
}

/** Images grouped by k-means, as many groups as there are classes. */
export interface Clustering {
  /** (N,) */
  assignments: Int32Array;
  /** Sum of the squared distances to the centroids. */
  objective: number;
}

/** What is known of the distances of some pairs. */
export interface PairSummary {
  count: number;
  /** NaN without a pair, as the others. */
  mean: number;
  std: number;
  min: number;
  max: number;
  /** How many pairs lie in each of the equal bins of `edges`. */
  histogram: number[];
}

/** Distances of pairs of one class and of several, or of the same and of different ones. */
export interface DistancesOfPairs {
  readonly same: PairSummary;
  readonly different: PairSummary;
  /** 0 … the largest distance, in equal steps. */
  readonly edges: readonly number[];
  /**
   * The quantile of the distances of different pairs, between two of them by their places, as NumPy's.
   * @param share 0…1 @returns null without such a pair
   */
  quantileOfDifferent(share: number): number | null;
  /** The share of the same pairs at this distance or farther; null without such a pair. */
  shareOfSameBeyond(distance: number): number | null;
}

/** Of pairs that a data set lists. */
export interface JudgedDistances {
  /** (P,) */
  readonly distances: Float64Array;
  /** (P,) 1: the same. */
  readonly answers: Uint8Array;
}

interface Described {
  /** As results have them, at these numbers. */
  names(at: readonly number[]): readonly string[];
  /** Which numbers it is measured at: those of recall, of the data set, or its own; left out: it has none. */
  at?: 'recall' | readonly number[];
  /** What it is, in a line. */
  help: string;
  /** Divided by what. */
  divisor?: string;
  /** What a query without an image to be found counts; left out: there is no such query. */
  withoutMatch?: string;
  /** What other libraries call it. */
  others?: string;
  /** Fractions are shown in per cent. */
  shown: 'per cent' | 'plain';
  /** Measured after each epoch; where all metrics are asked for; or where it is asked for by its name. */
  when: 'always' | 'all' | 'named';
  /** A higher one is better, and it is measured after each epoch: the best one can be chosen by it. */
  chooses: boolean;
  /** Of these authors' code: shown only beside what was published of it, or where their behaviour is asked for. */
  compat?: 'dcesml';
}

/** Of the search of a query; results are means over the queries. */
export interface SearchMetric extends Described {
  of: 'search';
  /**
   * How far it looks: at the order of the first R and which are the first k; at the order of the first k too; or at the ranking of
   * all, for which a second pass over all distances is needed.
   */
  looks: 'near' | 'near in order' | 'everywhere';
  /** One for each name, 0…1. */
  measure(hits: Hits, at: readonly number[]): number[];
}

/** Of a metric of a search by the first R or k that nothing is chosen by, measured where it is named. */
export const namedOfSearch = {
  at: 'recall',
  withoutMatch: '0',
  shown: 'per cent',
  when: 'named',
  chooses: false,
  of: 'search',
  looks: 'near',
} as const satisfies Partial<SearchMetric>;

/** Of the distances of pairs of one class and of several. */
export interface PairMetric extends Described {
  of: 'pairs';
  /** null: there is none, without a pair of either kind. */
  measure(pairs: DistancesOfPairs, at: readonly number[]): (number | null)[];
}

/** Of pairs that a data set lists as the same or different, each a query of its own. */
export interface ListedPairMetric extends Described {
  of: 'listed pairs';
  /** One for each name, and where it has one, `NAME SE`, its standard error. */
  measure(pairs: JudgedDistances): { value: number; standardError?: number };
}

/** From two partitions of the images, by class and by k-means. With several of the latter: mean and standard deviation. */
export interface ClusterMetric extends Described {
  of: 'clusters';
  measure(classes: Int32Array, clustering: Clustering): number;
}

/** From all rows, one for each name; null: there is none of these embeddings. */
export interface RowMetric extends Described {
  of: 'rows';
  measure(
    embeddings: Tensor,
    labels: Int32Array,
    at: readonly number[],
    stop?: StopCheck | undefined,
  ): (number | null)[];
}

/** What is measured of embeddings of unseen classes. A line in `metrics.ts` is all that makes one known. */
export type Metric = SearchMetric | PairMetric | ListedPairMetric | ClusterMetric | RowMetric;
