import type {
  ClassesAnswer,
  DashboardEvent,
  EmbeddingInfo,
  LearnerChoice,
  MapPoints,
  MasksIndex,
  MasksOfEpoch,
  RetrievalItem,
  RetrievalPage,
  RetrievalQuery,
  RunDetail,
  RunsAnswer,
} from '../../src/api.js';

/** Where the page's numbers come from: a server, or the report that the page itself is. */
export interface Source {
  /** ISO 8601; null where a server answers. */
  readonly reportOf: string | null;
  runs(): Promise<RunsAnswer>;
  run(id: string): Promise<RunDetail>;
  masks(id: string): Promise<MasksIndex>;
  masksOf(id: string, epoch: number): Promise<MasksOfEpoch>;
  embedding(id: string): Promise<EmbeddingInfo>;
  map(id: string, learner: LearnerChoice): Promise<MapPoints>;
  retrieval(id: string, query: RetrievalQuery): Promise<RetrievalPage>;
  neighbours(id: string, query: number, learner: LearnerChoice, k: number): Promise<RetrievalItem>;
  classes(id: string): Promise<ClassesAnswer>;
  /** The address of an image for <img src>, from ImageRef.src. `size`: pixels of its longer edge. */
  imageUrl(src: string, size: ImageSize): string | null;
  /** The image of a query of the map. */
  queryImage(id: string, query: number, size: ImageSize): string | null;
  /** Calls `connected` at each (re)connection and `event` for each event; returns how to end it. */
  listen(listener: SourceListener): () => void;
}

export type ImageSize = 48 | 96 | 192 | 384;

export interface SourceListener {
  connected: () => void;
  lost: () => void;
  event: (event: DashboardEvent) => void;
}

/** The run does not have what was asked for, or the report does not hold it: a state to show, not a failure. */
export class Absent extends Error {}
