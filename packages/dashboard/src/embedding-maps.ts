import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { builtModule, DamagedFile, readJson, writeFileAtomic } from '@conquer-dml/run';
import type { DashboardEvent, LearnerChoice, MapAnswer, MapPoints } from './api.js';
import type { Embedding } from './embedding.js';
import type { MapLayout, MapTask } from './map-layout.js';
import type { MapMessage } from './map-worker.js';
import type { Retrieval } from './retrieval.js';

const MAX_CACHE = 64 << 20;
const FORMAT = 'conquer-map-1';

/** A map as its cache file holds it. */
interface CachedMap {
  format: typeof FORMAT;
  version: string;
  x: number[];
  y: number[];
}

interface Job {
  key: string;
  version: string;
  progress: number;
  failure: string | null;
  /** Settles when the map is ready or has failed. */
  done: Promise<void>;
}

/**
 * The 2-D maps of embeddings. A map is computed in a worker, one at a time as it takes a whole core, and kept in
 * the run's folder (map-full.json, map-learner-0.json) until the embeddings change.
 */
export class EmbeddingMaps {
  private readonly jobs = new Map<string, Job>();
  /** Maps whose run folder cannot be written to; a few. */
  private readonly unsaved = new Map<string, CachedMap>();
  private queue: Promise<void> = Promise.resolve();
  private readonly workers = new Set<Worker>();
  private closed = false;

  constructor(private readonly tell: (event: DashboardEvent) => void = () => {}) {}

  /** The map, if it is known; else how far it is. The first request begins it. */
  async answer(folder: string, retrieval: Retrieval, learner: LearnerChoice): Promise<MapAnswer> {
    const { embedding } = retrieval;
    const file = join(folder, learner === 'full' ? 'map-full.json' : `map-learner-${learner}.json`);
    const key = `${file} ${embedding.version}`;
    const cached = this.unsaved.get(key) ?? (await readCache(file, embedding));
    if (cached) return pointsOf(cached, retrieval, learner);
    let job = this.jobs.get(file);
    if (job?.version !== embedding.version) {
      job = this.begin(file, key, embedding, learner);
      this.jobs.set(file, job);
    }
    if (job.failure !== null) return { state: 'failed', learner, message: job.failure };
    return { state: 'computing', learner, progress: job.progress };
  }

  /** The map, however long it takes; null if it cannot be computed. */
  async wait(folder: string, retrieval: Retrieval, learner: LearnerChoice): Promise<MapPoints | null> {
    for (;;) {
      const answer = await this.answer(folder, retrieval, learner);
      if (answer.state === 'ready') return answer;
      if (answer.state === 'failed') return null;
      await Promise.all([...this.jobs.values()].map(({ done }) => done));
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.workers].map((worker) => worker.terminate()));
  }

  private begin(file: string, key: string, embedding: Embedding, learner: LearnerChoice): Job {
    const { version, runId } = embedding;
    const job: Job = { key, version, progress: 0, failure: null, done: Promise.resolve() };
    const tell = (ready: boolean) =>
      this.tell({
        type: 'map',
        run: runId,
        learner,
        progress: job.progress,
        ready,
        failed: job.failure !== null,
      });
    job.done = this.queue
      .then(async () => {
        // Meanwhile, newer embeddings may have come.
        if (this.closed || this.jobs.get(file) !== job) return;
        const layout = await this.compute(taskOf(embedding, learner), (progress) => {
          job.progress = progress;
          tell(false);
        });
        const round = (values: Float32Array) => Array.from(values, (value) => Math.round(value * 1e4) / 1e4);
        this.save(file, key, { format: FORMAT, version, x: round(layout.x), y: round(layout.y) });
        job.progress = 1;
        this.jobs.delete(file);
        tell(true);
      })
      .catch((error: Error) => {
        job.failure = `the map could not be computed: ${error.message}`;
        if (!this.closed) tell(false);
      });
    this.queue = job.done;
    return job;
  }

  private compute(task: MapTask, progress: (share: number) => void): Promise<MapLayout> {
    const module = builtModule('./map-worker.js', import.meta.url);
    return new Promise((done, failed) => {
      const worker = new Worker(module, { workerData: task });
      this.workers.add(worker);
      worker.on('message', (message: MapMessage) => {
        if ('layout' in message) done(message.layout);
        else progress(message.progress);
      });
      worker.on('error', failed);
      worker.on('exit', (code) => {
        this.workers.delete(worker);
        failed(new Error(`its worker ended with ${code}`));
      });
    });
  }

  private save(file: string, key: string, map: CachedMap): void {
    try {
      writeFileAtomic(file, JSON.stringify(map));
    } catch {
      if (this.unsaved.size > 8) this.unsaved.clear();
      this.unsaved.set(key, map);
    }
  }
}

function taskOf(embedding: Embedding, learner: LearnerChoice): MapTask {
  const { dim, neighbours: indices, distances, depth } = embedding;
  // With a gallery, the known neighbours are not among the points of the map.
  const known = embedding.gallery ? null : { indices, distances, depth, exact: learner === 'full' };
  return { vectors: embedding.normalised(learner), dim, known };
}

async function readCache(file: string, embedding: Embedding): Promise<CachedMap | null> {
  let map: Partial<CachedMap> | null;
  try {
    map = (await readJson(file, MAX_CACHE)) as Partial<CachedMap> | null;
  } catch (error) {
    if (error instanceof DamagedFile) return null;
    throw error;
  }
  const fits = (values: unknown) =>
    Array.isArray(values) && values.length === embedding.numQueries && values.every(Number.isFinite);
  if (map?.format !== FORMAT || map.version !== embedding.version || !fits(map.x) || !fits(map.y))
    return null;
  return map as CachedMap;
}

function pointsOf({ version, x, y }: CachedMap, retrieval: Retrieval, learner: LearnerChoice): MapPoints {
  const { epoch, queries, clusters } = retrieval.embedding;
  return {
    state: 'ready',
    version,
    epoch,
    learner,
    x,
    y,
    labels: [...queries.labels],
    clusters: [...clusters],
    correct: retrieval.correctness(),
  };
}
