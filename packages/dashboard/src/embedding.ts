import {
  type EmbeddedSet,
  type EmbeddingsRead,
  type RunFolder,
  readEmbeddings,
  withoutStandIns,
} from '@conquer-dml/run';
import type { EmbeddingInfo, ImageRef, LearnerChoice } from './api.js';
import { clip } from './bounds.js';
import { readabilityIn } from './readable-images.js';

/** The embeddings of a run's test images, as its best epoch so far left them in embeddings.safetensors. */
export class Embedding {
  /** By learner: 1 / ‖vector · mask‖ of what is searched, (M,). */
  private readonly scales = new Map<LearnerChoice, Float64Array>();

  private constructor(
    readonly runId: string,
    private readonly rows: EmbeddingsRead,
  ) {}

  /** null where the run has none. @throws DamagedFile */
  static async read(runId: string, folder: RunFolder): Promise<Embedding | null> {
    const rows = await readEmbeddings(folder);
    if (rows === null) return null;
    const isReadable = rows.hasPositions ? null : await readabilityIn(folder);
    return new Embedding(runId, await withoutStandIns(rows, isReadable));
  }

  get version(): string {
    return this.rows.version;
  }

  get epoch(): number {
    return this.rows.epoch;
  }

  get dim(): number {
    return this.rows.dim;
  }

  get queries(): EmbeddedSet {
    return this.rows.queries;
  }

  /** null: the queries are searched among themselves. */
  get gallery(): EmbeddedSet | null {
    return this.rows.gallery;
  }

  /** Of all rows of the file. */
  get fingerprint(): string {
    return this.rows.fingerprint;
  }

  /** Which of these the queries are; null: all of them. */
  get places(): EmbeddingsRead['places'] {
    return this.rows.places;
  }

  get clusters(): Int32Array {
    return this.rows.clusters;
  }

  get numLearners(): number {
    return this.rows.numLearners;
  }

  /** (N, K) indices of what is searched, nearest first. */
  get neighbours(): Int32Array {
    return this.rows.neighbours.neighbours;
  }

  get distances(): Float32Array {
    return this.rows.neighbours.distances;
  }

  /** K: most neighbours that are known of a query. */
  get depth(): number {
    return this.rows.neighbours.depth;
  }

  get numQueries(): number {
    return this.queries.labels.length;
  }

  /** What is searched: the gallery or, without one, the queries. */
  get searched(): EmbeddedSet {
    return this.gallery ?? this.queries;
  }

  info(): EmbeddingInfo {
    const classNames = (this.queries.images?.classNames ?? []).map(clip);
    const classes = this.queries.labels.reduce((most, label) => Math.max(most, label + 1), 0);
    return {
      epoch: this.epoch,
      version: this.version,
      numQueries: this.numQueries,
      leftOut: this.rows.leftOut,
      numGallery: this.gallery?.labels.length ?? null,
      dim: this.dim,
      numLearners: this.numLearners,
      numClusters: this.clusters.reduce((most, cluster) => Math.max(most, cluster + 1), 0),
      maxNeighbours: this.depth,
      classNames:
        classNames.length > 0
          ? classNames
          : Array.from({ length: Math.min(classes, 100_000) }, (_, label) => this.className(label)),
      hasImages: this.queries.images !== null && (this.gallery === null || this.gallery.images !== null),
    };
  }

  className(label: number): string {
    return clip(this.queries.images?.classNames[label] ?? `class ${label}`);
  }

  /** The file of an image, null where it is not known. */
  imagePath(set: ImageRef['set'], index: number): string | null {
    const images = set === 'query' ? this.queries.images : this.gallery?.images;
    return images?.paths[index] ?? null;
  }

  image(set: ImageRef['set'], index: number): ImageRef {
    const side = set === 'query' ? this.queries : this.searched;
    const path = this.imagePath(set, index);
    return {
      set,
      index,
      label: side.labels[index] as number,
      name: path === null ? `${set} ${index}` : (path.split(/[\\/]/).at(-1) as string),
      src: path === null ? null : `api/runs/${encodeURIComponent(this.runId)}/images/${set}/${index}`,
    };
  }

  found(index: number): ImageRef {
    return this.image(this.gallery ? 'gallery' : 'query', index);
  }

  /** Other images of each label among what is searched; by query. (N,) */
  relevant(): Int32Array {
    const counts = new Map<number, number>();
    for (const label of this.searched.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
    const { labels } = this.searched;
    return this.queries.labels.map((label, query) => {
      const itself = this.gallery ? this.ownOf(query).filter((row) => labels[row] === label).length : 1;
      return (counts.get(label) ?? 0) - itself;
    });
  }

  private ownOf(query: number): readonly number[] {
    return this.rows.own.get(query) ?? [];
  }

  /** The k nearest of a query: those of the file or, for a learner, searched now. */
  neighboursOf(query: number, learner: LearnerChoice, k: number): { index: number; distance: number }[] {
    const wanted = Math.min(k, this.depth);
    if (learner !== 'full') return this.search(query, learner, wanted);
    const start = query * this.depth;
    return Array.from({ length: wanted }, (_, rank) => ({
      index: this.neighbours[start + rank] as number,
      distance: this.distances[start + rank] as number,
    }));
  }

  /** In the space of normalise(vector · mask), by differences: 2 − 2 a·b would lose distances between nearly equal ones. */
  private search(query: number, learner: number, k: number): { index: number; distance: number }[] {
    const { dim } = this;
    const { vectors, labels } = this.searched;
    const mask = this.maskOf(learner);
    const used = Array.from(mask.keys()).filter((d) => mask[d] !== 0);
    const itself = this.ownOf(query);
    const own = used.map((d) => (this.queries.vectors[query * dim + d] as number) * (mask[d] as number));
    const length = Math.hypot(...own);
    const point = Float64Array.from(own, (value) => (length > 0 ? value / length : 0));
    const columns = Int32Array.from(used);
    const weights = Float64Array.from(used, (d) => mask[d] as number);
    const scales = this.scalesOf(learner, mask, columns);
    const nearest: { index: number; distance: number }[] = [];
    let worst = Number.POSITIVE_INFINITY;
    for (let index = 0; index < labels.length; index++) {
      if (this.gallery ? itself.includes(index) : index === query) continue;
      let squared = 0;
      const start = index * dim;
      const scale = scales[index] as number;
      for (let i = 0; i < columns.length; i++) {
        const other = (weights[i] as number) * (vectors[start + (columns[i] as number)] as number) * scale;
        const gap = other - (point[i] as number);
        squared += gap * gap;
      }
      if (!(squared < worst)) continue;
      let at = nearest.length;
      while (at > 0 && (nearest[at - 1] as { distance: number }).distance > squared) at--;
      nearest.splice(at, 0, { index, distance: squared });
      if (nearest.length > k) nearest.pop();
      if (nearest.length === k) worst = nearest.at(-1)?.distance ?? worst;
    }
    return nearest.map(({ index, distance }) => ({ index, distance: Math.sqrt(distance) }));
  }

  maskOf(learner: number): Float32Array {
    return this.rows.masks.subarray(learner * this.dim, (learner + 1) * this.dim);
  }

  private scalesOf(learner: number, mask: Float32Array, columns: Int32Array): Float64Array {
    const known = this.scales.get(learner);
    if (known) return known;
    const { vectors, labels } = this.searched;
    const scales = new Float64Array(labels.length);
    for (let index = 0; index < scales.length; index++) {
      let sum = 0;
      for (const d of columns) sum += ((vectors[index * this.dim + d] as number) * (mask[d] as number)) ** 2;
      scales[index] = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    }
    this.scales.set(learner, scales);
    return scales;
  }
}
