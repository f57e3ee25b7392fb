import type { ChosenEpoch, DivisionView, EpochRecord, Settings, StepRecord } from '@conquer-dml/run';
/**
 * What the page gets from the server, and what a report holds in itself. Only types and names: the page's bundle and
 * the server share this file, and the page compiles it without Node.
 *
 * Epochs and steps count from 0; epoch -1 is the network before training. Metrics are fractions of 1. All text that
 * comes from a run (names, settings, class names, notes) is data: put it into the page as text, never as HTML.
 *
 * | request (GET)                                          | answer            |
 * |--------------------------------------------------------|-------------------|
 * | api/runs                                               | RunsAnswer        |
 * | api/runs/:id                                           | RunDetail         |
 * | api/runs/:id/masks                                     | MasksIndex        |
 * | api/runs/:id/masks/:epoch                              | MasksOfEpoch      |
 * | api/runs/:id/embedding                                 | EmbeddingInfo     |
 * | api/runs/:id/map?learner=full or 0, 1, …               | MapPoints, packed |
 * | api/runs/:id/retrieval?order&seed&label&learner&k&offset&limit | RetrievalPage |
 * | api/runs/:id/neighbours/:query?learner&k               | RetrievalItem     |
 * | api/runs/:id/classes                                   | ClassesAnswer     |
 * | api/runs/:id/images/(query or gallery)/:index?size=96  | image/webp        |
 * | api/events                                             | server-sent events, see DashboardEvent |
 *
 * Addresses are relative to the page's. An error has a status of 400 and up and a body ApiError. What a run does not
 * have (an old run without embeddings) is a 404 with `code: 'absent'`: an empty state, not a failure.
 */

export interface ApiError {
  code: 'absent' | 'unknown' | 'bad-request' | 'damaged' | 'forbidden' | 'internal';
  /** One line for a person. */
  message: string;
}

// ---- Runs ----------------------------------------------------------------------------------------------------------

export interface RunsAnswer {
  /** The folder that is shown. */
  runsDir: string;
  /** Newest first (by when the run was last written). */
  runs: RunSummary[];
  /** Settings whose values are not the same in all runs, sorted; a run without the setting counts as null. */
  differing: string[];
}

/** 'cut off': its process is gone without having ended it. 'damaged': config.json cannot be read. 'index': the map of an index, no run. */
export type RunStatus = 'running' | 'finished' | 'stopped' | 'cut off' | 'damaged' | 'index';

export interface RunSummary {
  /**
   * For addresses: encodeURIComponent it. The folder's way from the folder that is shown ('name', 'group/name'), so
   * unique, and possibly very long or strange.
   */
  id: string;
  name: string;
  status: RunStatus;
  /** Epochs trained, of so many (null: not known). */
  epochs: number;
  of: number | null;
  /** The epoch of the highest R@1, or of the metric that the run was to choose by. */
  best: ChosenEpoch | null;
  settings: Settings;
  /** When its files were last written, ms since 1970. */
  updated: number;
  /** What could not be read, in words; empty for a sound run. */
  problems: string[];
}

export interface RunDetail extends RunSummary {
  /** An epoch each; a long run is thinned out to at most MAX_RECORDS, with the best epoch and the last one among them. */
  records: EpochRecord[];
  /** About a line a second of training; a long run is thinned out to at most MAX_STEPS by averaging neighbours. */
  steps: StepRecord[];
  /** How many steps the epochs have. */
  epochSteps: EpochSteps[];
  /** The last MAX_DIVISIONS at most. */
  divisions: DivisionView[];
  /** Divisions before those. */
  divisionsBefore: number;
  /** Between consecutive divisions: flows[i] is from divisions[i] to divisions[i + 1]. */
  flows: DivisionFlow[];
  tree: LearnerTree;
  /** How many lines each file had, to fit events to this answer (see AppendEvent.at). */
  lines: { records: number; steps: number; divisions: number; masks: number };
  has: { masks: boolean; embedding: boolean };
}

export const MAX_STEPS = 5000;
export const MAX_RECORDS = 2000;
export const MAX_DIVISIONS = 1000;

/** From this epoch on each has so many steps, until the next of these. */
export interface EpochSteps {
  epoch: number;
  steps: number;
}

// ---- Division and masks --------------------------------------------------------------------------------------------

export interface DivisionFlow {
  fromEpoch: number;
  toEpoch: number;
  /**
   * counts[a][b] images went from cluster a to cluster b. The last row and the last column are the images in no
   * cluster: (numClusters before + 1) × (numClusters after + 1).
   */
  counts: number[][];
}

/** How learners came from learners. A level lasts while the number of learners stays the same. */
export interface LearnerTree {
  levels: TreeLevel[];
  /** From a learner of a level to one of the next; `images` went that way at the division in between. */
  links: { level: number; from: number; to: number; images: number }[];
}

export interface TreeLevel {
  numLearners: number;
  /** Epochs of its first and last division. */
  fromEpoch: number;
  toEpoch: number;
  /** At the last division of the level. */
  sizes: number[];
  classCounts: number[];
}

export interface MasksIndex {
  /** One for each epoch that has masks, in order; of a long run every so many, MAX_RECORDS at most. */
  epochs: {
    epoch: number;
    numLearners: number;
    dim: number;
    /** Mean cosine similarity over pairs of learners; null for one learner. */
    meanSimilarity: number | null;
    /** Mean share of dimensions that a learner uses (mask > 0). */
    active: number;
  }[];
}

export interface MasksOfEpoch {
  epoch: number;
  /** (K, D), as applied, so never negative. */
  masks: number[][];
  /** (K, K) cosine similarities; 0 where a mask is all zero. */
  similarity: number[][];
}

// ---- Embedding -----------------------------------------------------------------------------------------------------

/** 'full' or a learner's number. */
export type LearnerChoice = 'full' | number;

export interface EmbeddingInfo {
  /** The epoch whose embedding it is: the best so far. */
  epoch: number;
  /** Changes whenever the embeddings do: refetch all that follows from them. */
  version: string;
  numQueries: number;
  /** Test images that could not be read: no metric and no view has them. */
  leftOut: number;
  /** null: the queries are searched among themselves. */
  numGallery: number | null;
  dim: number;
  numLearners: number;
  /** Clusters of the test images, for colouring. */
  numClusters: number;
  /** Most neighbours that can be asked for. */
  maxNeighbours: number;
  /** Indexed by label. */
  classNames: string[];
  /** Whether the images can be shown (test-images.json fits the embeddings). */
  hasImages: boolean;
}

/** Columns of N numbers, a point for each query image; its index is the query's. On its way it is packed: map-points.ts. */
export interface MapPoints {
  version: string;
  epoch: number;
  learner: LearnerChoice;
  /** UMAP coordinates scaled so that both lie in -1 to 1, with one scale for both axes. */
  x: Float32Array;
  y: Float32Array;
  labels: Int32Array;
  clusters: Int32Array;
  /** The label of the nearest neighbour in the full embedding; -1: there is none. */
  nearest: Int32Array;
  /** 1: that is of the same class, 0: of another, -1: no other of its class is there to find. */
  correct: Int8Array;
}

export interface ImageRef {
  set: 'query' | 'gallery';
  index: number;
  label: number;
  /** File name, for alternative text. */
  name: string;
  /**
   * For <img src>; append `?size=N` (48, 96, 192, 384) for another size than 96. null where there is no image. In a
   * report: the key of ReportData.images, which has one size.
   */
  src: string | null;
}

export type RetrievalOrder = 'worst' | 'random' | 'index';

/** Defaults: order=worst, learner=full, k=10, offset=0, limit=20 (at most 100), seed=1, label: all classes. */
export interface RetrievalQuery {
  order?: RetrievalOrder;
  seed?: number;
  /** Queries of this class only. */
  label?: number;
  learner?: LearnerChoice;
  k?: number;
  offset?: number;
  limit?: number;
}

export interface RetrievalPage {
  version: string;
  /** Queries there are in all, with the filter. */
  total: number;
  offset: number;
  items: RetrievalItem[];
}

export interface RetrievalItem {
  query: ImageRef;
  /** Other images of its class that could be found. */
  relevant: number;
  /** Nearest first. */
  neighbours: { image: ImageRef; distance: number; correct: boolean }[];
}

/** Worst first for both. */
export interface ClassesAnswer {
  version: string;
  classes: ClassRow[];
  confusions: Confusion[];
}

export interface ClassRow {
  label: number;
  name: string;
  /** Queries of the class. */
  queries: number;
  /** Recall@1 and Recall@min(10, maxNeighbours) of its queries. Queries with nothing to find count as misses. */
  recallAt1: number;
  recallAt10: number;
  /** Into which class most of its wrong nearest neighbours fall; null if none is wrong. */
  mostConfusedWith: number | null;
}

/** Two classes whose images are each other's nearest neighbours, the pair counted once (a < b by label). */
export interface Confusion {
  a: number;
  b: number;
  /** Queries of a whose nearest neighbour is of b, and the other way round. */
  aAsB: number;
  bAsA: number;
  /** (aAsB + bAsA) / queries of both. */
  share: number;
  /** A query of the pair and its wrong nearest neighbour. */
  example: { query: ImageRef; neighbour: ImageRef };
}

export const MAX_CONFUSIONS = 200;

// ---- Events --------------------------------------------------------------------------------------------------------

/**
 * Server-sent events: `event:` is the type, `data:` the JSON of the whole object. Sent for all runs. After a
 * (re)connection fetch anew what is shown, then take events.
 */
export type DashboardEvent =
  | RunsEvent
  | AppendEvent
  | { type: 'reset'; run: string }
  | { type: 'embedding'; run: string; version: string }
  /** Its maps came, or are others. */
  | { type: 'map'; run: string };

/** A run appeared, went, or its status, progress or best epoch changed. */
export interface RunsEvent extends RunsAnswer {
  type: 'runs';
}

/**
 * Lines were added to a run's files. `at` is how many lines the file had before: drop what RunDetail.lines says is
 * known already. 'reset' instead means that files were cut back (the run was resumed): fetch the run anew.
 */
export interface AppendEvent {
  type: 'append';
  run: string;
  records?: { at: number; lines: EpochRecord[] };
  steps?: { at: number; lines: StepRecord[] };
  /** Divisions change flows and tree too: fetch the run anew. */
  divisions?: { at: number; lines: DivisionView[] };
  /** Epochs whose masks are new. */
  masks?: { at: number; epochs: number[] };
}

export const EVENT_TYPES = ['runs', 'append', 'reset', 'embedding', 'map'] as const;

// ---- Report --------------------------------------------------------------------------------------------------------

/**
 * The id of the <script type="application/json"> that holds a ReportData. Where the page finds it, it shows its runs
 * and asks no server.
 */
export const REPORT_ELEMENT = 'conquer-report';

export interface ReportData {
  format: 'conquer-report-3';
  /** ISO 8601. */
  created: string;
  /** As RunsAnswer has it. */
  differing: string[];
  runs: RunReport[];
  /**
   * data: URLs by the `src` of an ImageRef, which here is 'RUN/query/INDEX' or 'RUN/gallery/INDEX' (RUN: the place in
   * `runs`), so that the image of a point of the map is found too. As many as a file of a few megabytes can hold; an image
   * that is not in it has src null.
   */
  images: Record<string, string>;
}

/** What a report holds of a run. No text in it names a folder of the machine it was made on. */
export interface RunReport {
  run: RunDetail;
  masks: MasksOfEpoch[];
  embedding: EmbeddingInfo | null;
  /** Those that are kept: the full embedding's, then the learners' as far as they fit; packed, in base64. */
  maps: { learner: LearnerChoice; packed: string }[];
  classes: ClassesAnswer | null;
  /**
   * The queries that the report holds: all of a small test set, else the worst and some at random. `worst` and `random`
   * are their query indices in these orders. To show the neighbours of a point of the map, look for its item.
   */
  retrieval: { items: RetrievalItem[]; worst: number[]; random: number[] };
}
