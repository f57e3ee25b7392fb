import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  ClassesAnswer,
  ClassRow,
  Confusion,
  LearnerChoice,
  RetrievalItem,
  RetrievalOrder,
  RetrievalPage,
} from './api.js';
import { MAX_CONFUSIONS } from './api.js';
import type { Embedding } from './embedding.js';
import { randomNumbers } from './random-numbers.js';

/** What a page asks for, with everything decided. */
export interface RetrievalRequest {
  order: RetrievalOrder;
  seed: number;
  /** null: all classes. */
  label: number | null;
  learner: LearnerChoice;
  k: number;
  offset: number;
  limit: number;
}

/** What the neighbours of an embedding say: retrievals, recall by class, and which classes are taken for each other. */
export class Retrieval {
  private readonly relevant: Int32Array;
  private readonly orders = new Map<string, Int32Array>();
  private classAnswer: ClassesAnswer | null = null;

  constructor(readonly embedding: Embedding) {
    this.relevant = embedding.relevant();
  }

  async page(request: RetrievalRequest): Promise<RetrievalPage> {
    const { order, seed, label, learner, k, offset, limit } = request;
    const { labels } = this.embedding.queries;
    const all = this.order(order, seed);
    const queries = label === null ? all : all.filter((query) => labels[query] === label);
    const items: RetrievalItem[] = [];
    for (const query of queries.subarray(offset, offset + limit)) {
      items.push(this.item(query, learner, k));
      // A search by hand takes a while: let other requests in.
      if (learner !== 'full') await nextTurn();
    }
    return { version: this.embedding.version, total: queries.length, offset, items };
  }

  item(query: number, learner: LearnerChoice, k: number): RetrievalItem {
    const { embedding } = this;
    const label = embedding.queries.labels[query];
    const neighbours = embedding.neighboursOf(query, learner, k).map(({ index, distance }) => ({
      image: embedding.found(index),
      distance,
      correct: embedding.searched.labels[index] === label,
    }));
    return { query: embedding.image('query', query), relevant: this.relevant[query] as number, neighbours };
  }

  /** (N,) each: see `MapPoints`. */
  get correctness(): { nearest: Int32Array; correct: Int8Array } {
    const { neighbours, depth, numQueries, searched } = this.embedding;
    const nearest = new Int32Array(numQueries).fill(-1);
    const correct = new Int8Array(numQueries).fill(-1);
    for (let query = 0; query < numQueries; query++) {
      if (depth > 0) nearest[query] = searched.labels[neighbours[query * depth] as number] as number;
      if ((this.relevant[query] as number) > 0) correct[query] = Number(this.hits(query, 1) > 0);
    }
    return { nearest, correct };
  }

  private order(order: RetrievalOrder, seed: number): Int32Array {
    const key = order === 'random' ? `random ${seed}` : order;
    const known = this.orders.get(key);
    if (known) return known;
    const queries = Int32Array.from({ length: this.embedding.numQueries }, (_, i) => i);
    if (order === 'worst') this.sortWorstFirst(queries);
    if (order === 'random') shuffle(queries, seed);
    if (this.orders.size > 20) this.orders.clear();
    this.orders.set(key, queries);
    return queries;
  }

  /**
   * By precision among the first R (R: images there are to find, or as many neighbours as are known), then by how
   * near the first wrong neighbour is: the surest mistakes come first. Queries with nothing to find come last.
   */
  private sortWorstFirst(queries: Int32Array): void {
    const precision = new Float64Array(queries.length);
    const firstWrong = new Float64Array(queries.length);
    for (const query of queries) {
      const relevant = this.relevant[query] as number;
      const depth = Math.min(relevant, this.embedding.depth);
      precision[query] = depth > 0 ? this.hits(query, depth) / depth : 2;
      firstWrong[query] = this.firstWrongDistance(query);
    }
    queries.sort(
      (a, b) =>
        (precision[a] as number) - (precision[b] as number) ||
        (firstWrong[a] as number) - (firstWrong[b] as number) ||
        a - b,
    );
  }

  private hits(query: number, depth: number): number {
    const { neighbours, depth: width, queries, searched } = this.embedding;
    let hits = 0;
    for (let rank = 0; rank < Math.min(depth, width); rank++) {
      hits += Number(searched.labels[neighbours[query * width + rank] as number] === queries.labels[query]);
    }
    return hits;
  }

  private firstWrongDistance(query: number): number {
    const { neighbours, distances, depth, queries, searched } = this.embedding;
    for (let at = query * depth; at < (query + 1) * depth; at++) {
      if (searched.labels[neighbours[at] as number] !== queries.labels[query]) return distances[at] as number;
    }
    return Number.MAX_VALUE;
  }

  classes(): ClassesAnswer {
    this.classAnswer ??= this.countClasses();
    return this.classAnswer;
  }

  private countClasses(): ClassesAnswer {
    const { embedding } = this;
    const { queries, searched, neighbours, depth, version } = embedding;
    const rows = new Map<number, ClassRow & { wrong: Map<number, number> }>();
    const pairs = new Map<string, Confusion>();
    for (let query = 0; query < embedding.numQueries; query++) {
      const label = queries.labels[query] as number;
      let row = rows.get(label);
      if (!row) {
        const name = embedding.className(label);
        const wrong = new Map<number, number>();
        row = { label, name, queries: 0, recallAt1: 0, recallAt10: 0, mostConfusedWith: null, wrong };
        rows.set(label, row);
      }
      row.queries++;
      row.recallAt1 += Number(this.hits(query, 1) > 0);
      row.recallAt10 += Number(this.hits(query, 10) > 0);
      if (depth === 0) continue;
      const nearest = neighbours[query * depth] as number;
      const other = searched.labels[nearest] as number;
      if (other === label) continue;
      row.wrong.set(other, (row.wrong.get(other) ?? 0) + 1);
      const a = Math.min(label, other);
      const b = Math.max(label, other);
      const key = `${a} ${b}`;
      let pair = pairs.get(key);
      if (!pair) {
        const example = { query: embedding.image('query', query), neighbour: embedding.found(nearest) };
        pair = { a, b, aAsB: 0, bAsA: 0, share: 0, example };
        pairs.set(key, pair);
      }
      if (label === a) pair.aAsB++;
      else pair.bAsA++;
    }
    const classes = Array.from(rows.values(), ({ wrong, ...row }) => ({
      ...row,
      recallAt1: row.recallAt1 / row.queries,
      recallAt10: row.recallAt10 / row.queries,
      mostConfusedWith: [...wrong].sort(([a, n], [b, m]) => m - n || a - b)[0]?.[0] ?? null,
    }));
    classes.sort((x, y) => x.recallAt1 - y.recallAt1 || x.recallAt10 - y.recallAt10 || x.label - y.label);
    for (const pair of pairs.values()) {
      const both = (rows.get(pair.a)?.queries ?? 0) + (rows.get(pair.b)?.queries ?? 0);
      pair.share = (pair.aAsB + pair.bAsA) / both;
    }
    const confusions = [...pairs.values()]
      .sort((p, q) => q.aAsB + q.bAsA - p.aAsB - p.bAsA || q.share - p.share || p.a - q.a || p.b - q.b)
      .slice(0, MAX_CONFUSIONS);
    return { version, classes, confusions };
  }
}

/** Fisher and Yates's shuffle. */
function shuffle(values: Int32Array, seed: number): void {
  const random = randomNumbers(seed);
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const value = values[i] as number;
    values[i] = values[j] as number;
    values[j] = value;
  }
}
