import { dirname, join } from 'node:path';
import {
  imagesOfRows,
  likelyStandIns,
  type NeighbourLists,
  neighboursWithout,
  type RunFolder,
} from '@conquer/run';
import type { EmbeddingInfo, ImageRef, LearnerChoice } from './api.js';
import { DamagedFile, fileVersion, openRegularFile, readJson } from './files.js';
import { type ImageList, settingsOf, testImages } from './records.js';
import { SafetensorsFile } from './safetensors.js';
import { imageFolders, isWhole, liesInOneOf } from './thumbnails.js';

const MAX_IMAGE_LIST = 512 << 20;
const MAX_CONFIG = 1 << 20;

/** What there is of one side of the search. */
export interface EmbeddedSet {
  /** (N, D), before masks and normalisation. */
  vectors: Float32Array;
  labels: Int32Array;
  images: ImageList | null;
}

/** The embeddings of a run's test images, as its best epoch so far left them in embeddings.safetensors. */
export class Embedding {
  /** By learner: 1 / ‖vector · mask‖ of what is searched, (M,). */
  private readonly scales = new Map<LearnerChoice, Float64Array>();

  private constructor(
    readonly runId: string,
    readonly version: string,
    readonly epoch: number,
    readonly dim: number,
    readonly queries: EmbeddedSet,
    /** null: the queries are searched among themselves. */
    readonly gallery: EmbeddedSet | null,
    /** By query: rows of the gallery that are its own file, which its search leaves out. */
    private readonly own: ReadonlyMap<number, readonly number[]>,
    /** (N, K) indices of what is searched, nearest first, and their distances. */
    readonly neighbours: Int32Array,
    readonly distances: Float32Array,
    readonly depth: number,
    /** (N,) */
    readonly clusters: Int32Array,
    /** (L, D) */
    readonly masks: Float32Array,
    readonly numLearners: number,
    /** Images that could not be read, of queries and gallery: they are in none of this. */
    readonly leftOut: number,
  ) {}

  /** null where the run has none. @throws DamagedFile */
  static async read(runId: string, folder: RunFolder): Promise<Embedding | null> {
    const version = await fileVersion(folder.embeddingsFile);
    const file = version === null ? null : await openRegularFile(folder.embeddingsFile);
    if (version === null || file === null) return null;
    try {
      const tensors = await SafetensorsFile.open(file);
      const [n, dim] = tensors.shape('embeddings') ?? [];
      const [, depth] = tensors.shape('neighbours') ?? [];
      if (!n || !dim || depth === undefined) throw new DamagedFile('it holds no embeddings with neighbours');
      const labels = await tensors.int32('labels', [n]);
      const [m] = tensors.shape('gallery_embeddings') ?? [];
      const galleryLabels = m ? await tensors.int32('gallery_labels', [m]) : null;
      const neighbours = await tensors.int32('neighbours', [n, depth]);
      const clusters = await tensors.int32('clusters', [n]);
      checkRange('labels', labels, 1 << 24);
      if (galleryLabels) checkRange('gallery_labels', galleryLabels, 1 << 24);
      checkRange('neighbours', neighbours, m ?? n);
      checkRange('clusters', clusters, 1 << 16);
      const [numLearners = 0] = tensors.shape('masks') ?? [];
      const floats = async (name: string, shape: number[]) => {
        const values = await tensors.float32(name, shape);
        checkFinite(name, values);
        return values;
      };
      const vectors = await floats('embeddings', [n, dim]);
      const distances = await floats('distances', [n, depth]);
      const galleryVectors = m ? await floats('gallery_embeddings', [m, dim]) : null;
      const masks = numLearners ? await floats('masks', [numLearners, dim]) : new Float32Array(0);
      const images = await readImages(folder, tensors, labels, galleryLabels);
      const queries = { vectors, labels, images: images?.queries ?? null };
      const gallery = galleryLabels &&
        galleryVectors && {
          vectors: galleryVectors,
          labels: galleryLabels,
          images: images?.gallery ?? null,
        };
      const kept = await withoutStandIns(
        { queries, gallery, neighbours: { neighbours, distances, depth }, clusters },
        dim,
        tensors.shape('positions') === null ? await badImagesOf(folder) : null,
      );
      return new Embedding(
        runId,
        version,
        Number(tensors.metadata.epoch) || 0,
        dim,
        kept.queries,
        kept.gallery,
        await readOwn(tensors, n, m ?? 0),
        kept.neighbours.neighbours,
        kept.neighbours.distances,
        kept.neighbours.depth,
        kept.clusters,
        masks,
        numLearners,
        ['', 'gallery_'].reduce((sum, prefix) => {
          const all = Number(tensors.metadata[`${prefix}images`]);
          return sum + (all > 0 ? all - (prefix === '' ? n : (m ?? 0)) : 0);
        }, kept.standIns),
      );
    } finally {
      await file.close();
    }
  }

  get numQueries(): number {
    return this.queries.labels.length;
  }

  /** What is searched: the gallery or, without one, the queries. */
  get searched(): EmbeddedSet {
    return this.gallery ?? this.queries;
  }

  info(): EmbeddingInfo {
    const classNames = this.queries.images?.classNames ?? [];
    const classes = this.queries.labels.reduce((most, label) => Math.max(most, label + 1), 0);
    return {
      epoch: this.epoch,
      version: this.version,
      numQueries: this.numQueries,
      leftOut: this.leftOut,
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
    return this.queries.images?.classNames[label] ?? `class ${label}`;
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
    return this.own.get(query) ?? [];
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
    return this.masks.subarray(learner * this.dim, (learner + 1) * this.dim);
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

  /** (N, D) the queries as a learner sees them, each of length 1. */
  normalised(learner: LearnerChoice): Float32Array {
    const { dim } = this;
    const { vectors } = this.queries;
    const mask = learner === 'full' ? null : this.maskOf(learner);
    const result = new Float32Array(vectors.length);
    // In float64: what is large does not overflow.
    const row = new Float64Array(dim);
    for (let start = 0; start < vectors.length; start += dim) {
      let sum = 0;
      for (let d = 0; d < dim; d++) {
        const value = (vectors[start + d] as number) * (mask ? (mask[d] as number) : 1);
        row[d] = value;
        sum += value * value;
      }
      const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0;
      for (let d = 0; d < dim; d++) result[start + d] = (row[d] as number) * scale;
    }
    return result;
  }
}

/** Pairs of a query and a row of the gallery that are one file, by query; older files have none. */
async function readOwn(tensors: SafetensorsFile, n: number, m: number): Promise<Map<number, number[]>> {
  const own = new Map<number, number[]>();
  const [pairs] = tensors.shape('own') ?? [];
  if (!pairs) return own;
  const values = await tensors.int32('own', [pairs, 2]);
  for (let at = 0; at < values.length; at += 2) {
    const [query, row] = [values[at] as number, values[at + 1] as number];
    if (!(query >= 0 && query < n && row >= 0 && row < m))
      throw new DamagedFile('a number in own is out of range');
    const known = own.get(query);
    if (known) known.push(row);
    else own.set(query, [row]);
  }
  return own;
}

/** The images of the rows; null where the run's list is not of them: it would show wrong pictures. */
async function readImages(
  folder: RunFolder,
  tensors: SafetensorsFile,
  labels: Int32Array,
  galleryLabels: Int32Array | null,
): Promise<ReturnType<typeof testImages>> {
  let images: ReturnType<typeof testImages>;
  try {
    images = testImages(await readJson(folder.testImagesFile, MAX_IMAGE_LIST));
  } catch (error) {
    if (error instanceof DamagedFile) return null;
    throw error;
  }
  if (images === null || (images.gallery === null) !== (galleryLabels === null)) return null;
  const listOf = async (list: ImageList, ofRows: Int32Array, prefix: string) => {
    const name = `${prefix}positions`;
    const positions = tensors.shape(name) ? await tensors.int32(name, [ofRows.length]) : null;
    const total = tensors.metadata[`${prefix}images`];
    return imagesOfRows(list, ofRows, positions, total === undefined ? null : Number(total));
  };
  const queries = await listOf(images.queries, labels, '');
  const gallery =
    images.gallery && galleryLabels ? await listOf(images.gallery, galleryLabels, 'gallery_') : null;
  if (queries === null || (images.gallery !== null && gallery === null)) return null;
  return { queries, gallery };
}

/** Whether an image of an older run can be read; null where none of its images may be bad. */
async function badImagesOf(folder: RunFolder): Promise<((path: string) => Promise<boolean>) | null> {
  const config = await readJson(join(folder.path, 'config.json'), MAX_CONFIG).catch(() => null);
  const settings = settingsOf(config);
  if (settings?.['on-bad-image'] !== 'skip') return null;
  const folders = await imageFolders(settings, dirname(folder.path), []);
  return async (path) => !(await liesInOneOf(path, folders)) || (await isWhole(path));
}

interface Rows {
  queries: EmbeddedSet;
  gallery: EmbeddedSet | null;
  neighbours: NeighbourLists;
  clusters: Int32Array;
}

/**
 * Without the rows of images that cannot be read, in which older versions wrote another image's embedding: those that
 * are another's of their class, and whose file is there and is no image.
 */
async function withoutStandIns(
  rows: Rows,
  dim: number,
  isReadable: ((path: string) => Promise<boolean>) | null,
): Promise<Rows & { standIns: number }> {
  if (isReadable === null) return { ...rows, standIns: 0 };
  const standIns = async ({ vectors, labels, images }: EmbeddedSet): Promise<Set<number>> => {
    const found = new Set<number>();
    if (images === null) return found;
    for (const row of likelyStandIns(vectors, dim, labels))
      if (!(await isReadable(images.paths[row] as string))) found.add(row);
    return found;
  };
  const without = ({ vectors, labels, images }: EmbeddedSet, gone: ReadonlySet<number>): EmbeddedSet => {
    const stays = (_: unknown, row: number) => !gone.has(row);
    return {
      vectors: vectors.filter((_, at) => !gone.has(Math.floor(at / dim))),
      labels: labels.filter(stays),
      images: images && {
        ...images,
        paths: images.paths.filter(stays),
        labels: images.labels.filter(stays),
      },
    };
  };
  const bad = await standIns(rows.queries);
  const badGallery = rows.gallery && (await standIns(rows.gallery));
  return {
    queries: without(rows.queries, bad),
    gallery: rows.gallery && without(rows.gallery, badGallery ?? new Set()),
    neighbours: neighboursWithout(rows.neighbours, bad, badGallery ?? bad),
    clusters: rows.clusters.filter((_, row) => !bad.has(row)),
    standIns: bad.size + (badGallery?.size ?? 0),
  };
}

function checkRange(name: string, values: Int32Array, end: number): void {
  for (const value of values) {
    if (value < 0 || value >= end) throw new DamagedFile(`a number in ${name} is out of range`);
  }
}

function checkFinite(name: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new DamagedFile(`a number in ${name} is NaN or infinite`);
  }
}
