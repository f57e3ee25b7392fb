import { DamagedFile, fileVersion, openRegularFile, readJson } from '../disk/regular-file.js';
import { type ImageList, readTestImages, type TestImages } from '../records/test-images.js';
import type { RunFiles } from '../run-files.js';
import { imagesOfRows } from './embedding-rows.js';
import { fingerprintOf } from './map-file.js';
import { SafetensorsFile } from './safetensors-file.js';

const MAX_IMAGE_LIST = 512 << 20;

/** What there is of one side of the search. */
export interface EmbeddedSet {
  /** (N, D), before masks and normalisation. */
  vectors: Float32Array;
  /** (N,) */
  labels: Int32Array;
  /** null: not known. */
  images: ImageList | null;
}

/** The nearest of what is searched, by query. */
export interface NeighbourLists {
  /** (N, k) rows of what is searched, nearest first. */
  neighbours: Int32Array;
  /** (N, k) */
  distances: Float32Array;
  depth: number;
}

/** What embeddings.safetensors holds: a run's test images, embedded by its best epoch so far. */
export interface EmbeddingsRead {
  /** Changes whenever the file does. */
  version: string;
  epoch: number;
  dim: number;
  queries: EmbeddedSet;
  /** null: the queries are searched among themselves. */
  gallery: EmbeddedSet | null;
  /** By query: rows of the gallery that are its own file, which its search leaves out. */
  own: ReadonlyMap<number, readonly number[]>;
  /** Of each query among what is searched. */
  neighbours: NeighbourLists;
  /** (N,) */
  clusters: Int32Array;
  /** (L, D) */
  masks: Float32Array;
  numLearners: number;
  /** Images that could not be read, of queries and gallery: they are in none of this. */
  leftOut: number;
  /** Whether the rows say which images they are of; older versions wrote another image in place of one that could not be read. */
  hasPositions: boolean;
  /** Of all rows that the file holds, see `fingerprintOf`. */
  fingerprint: string;
  /** Which rows of the file these are, of so many; null: all of them. */
  places: { of: number; rows: Int32Array } | null;
}

/** Reads and checks embeddings.safetensors; null where the run has none. @throws DamagedFile */
export async function readEmbeddings(files: RunFiles): Promise<EmbeddingsRead | null> {
  const version = await fileVersion(files.embeddingsFile);
  const file = version === null ? null : await openRegularFile(files.embeddingsFile);
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
    const images = await readImages(files, tensors, labels, galleryLabels);
    return {
      version,
      epoch: Number(tensors.metadata.epoch) || 0,
      dim,
      queries: { vectors, labels, images: images?.queries ?? null },
      gallery: galleryLabels &&
        galleryVectors && {
          vectors: galleryVectors,
          labels: galleryLabels,
          images: images?.gallery ?? null,
        },
      own: await readOwn(tensors, n, m ?? 0),
      neighbours: { neighbours, distances, depth },
      clusters,
      masks,
      numLearners,
      leftOut: ['', 'gallery_'].reduce((sum, prefix) => {
        const all = Number(tensors.metadata[`${prefix}images`]);
        return sum + (all > 0 ? all - (prefix === '' ? n : (m ?? 0)) : 0);
      }, 0),
      hasPositions: tensors.shape('positions') !== null,
      fingerprint: fingerprintOf({ vectors, labels }),
      places: null,
    };
  } finally {
    await file.close();
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
  files: RunFiles,
  tensors: SafetensorsFile,
  labels: Int32Array,
  galleryLabels: Int32Array | null,
): Promise<TestImages | null> {
  let images: TestImages | null;
  try {
    images = readTestImages(await readJson(files.testImagesFile, MAX_IMAGE_LIST));
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
