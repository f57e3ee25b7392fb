import type { Split } from '../datasets/dataset.js';
import type { ModelEvaluation } from '../evaluate/evaluate-model.js';
import { type GroupMeans, groupMeans } from '../evaluate/group-means.js';
import type { ListedDistances, RocPoint } from '../evaluate/listed-distances.js';
import type { DistancesOfPairs } from '../evaluate/metric.js';
import { PairDistances } from '../evaluate/pair-distances.js';
import type { StopCheck } from '../stop-check.js';

/** What an evaluation found, in more detail than its means. */
export interface EvaluationTables {
  /** Means over the queries of each class; null where there are no classes but pairs. */
  classes: GroupMeans[] | null;
  /** Of each category; null where the data set says none. */
  categories: GroupMeans[] | null;
  /** How distances of pairs that are the same and of different ones are spread; null of images of several labels. */
  distances: DistancesOfPairs | null;
  /** Of pairs that are listed; null of others. */
  roc: RocPoint[] | null;
}

/** Collects them during the evaluation of a split. */
export class TablesOf {
  readonly #values = new Map<number, Readonly<Record<string, number>> | null>();
  #listed: ListedDistances | null = null;

  constructor(private readonly split: Split) {}

  readonly onQuery = (query: number, values: Readonly<Record<string, number>> | null): void => {
    this.#values.set(query, values);
  };

  readonly onDistances = (distances: ListedDistances): void => {
    this.#listed = distances;
  };

  /** @param evaluated whose embeddings are still there */
  tables({ queries, gallery, own }: ModelEvaluation, stop?: StopCheck | undefined): EvaluationTables {
    if (this.#listed)
      return { classes: null, categories: null, distances: this.#listed, roc: this.#listed.roc() };
    const { classNames, categories } = this.split;
    const values = Array.from(queries.labels.keys(), (query) => this.#values.get(query) ?? null);
    const labelOf = (query: number) => queries.labels[query]!;
    const search = { ...(gallery && { gallery: { ...gallery, own } }), stop };
    return {
      classes: groupMeans(values, (query) => classNames[labelOf(query)]!),
      categories: categories ? groupMeans(values, (query) => categories[labelOf(query)]!) : null,
      distances: queries.labelSets ? null : new PairDistances(queries.embeddings, queries.labels, search),
      roc: null,
    };
  }
}
