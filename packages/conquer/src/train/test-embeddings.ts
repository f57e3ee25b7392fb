import { existsSync } from 'node:fs';
import { decodeImages, ImageError } from '@conquer/image';
import {
  type ImageList,
  imagesOfRows,
  likelyStandIns,
  neighboursWithout,
  type RunFolder,
  UserError,
} from '@conquer/run';
import {
  noGrad,
  readSafetensors,
  SerializationError,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from '@conquer/torch';
import { kMeansSteps } from '../distances/kmeans.js';
import { allNeighbours } from '../distances/nearest.js';
import type { Neighbours } from '../distances/neighbours.js';
import type { Steps } from '../distances/steps.js';
import { mostOwn, withoutOwn } from '../distances/without-own.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { MaskSum } from '../models/masks.js';
import { Random } from '../random.js';
import type { ModelEvaluation } from './evaluate-model.js';

/** Neighbours kept of each query: what a page shows of it. */
const NEIGHBOURS = 20;

export interface TestEmbeddings extends Pick<ModelEvaluation, 'queries' | 'gallery' | 'own'> {
  model: EmbeddingModel;
  around: Surroundings;
  /** The mask that is in the embeddings already, if there is one. */
  masks?: MaskSum | undefined;
  epoch: number;
}

/** What lies around the test images: their neighbours, and as many clusters as there are learners. */
export interface Surroundings {
  neighbours: Neighbours;
  /** (N,) */
  clusters: Int32Array;
}

/** Finds it, in steps. */
export function* surroundings(
  { queries, gallery, own }: Pick<ModelEvaluation, 'queries' | 'gallery' | 'own'>,
  numLearners: number,
): Steps<Surroundings> {
  const { embeddings } = queries;
  const among = gallery?.embeddings ?? null;
  const k = Math.min(NEIGHBOURS, among ? among.size(0) - mostOwn(own) : embeddings.size(0) - 1);
  const found = yield* allNeighbours(embeddings, among, k + mostOwn(own));
  const neighbours = withoutOwn(found, 0, own, k);
  const numClusters = Math.min(Math.max(2, numLearners), embeddings.size(0));
  const { assignments, centroids } = yield* kMeansSteps(embeddings, numClusters, { random: new Random(0) });
  centroids.dispose();
  return { neighbours, clusters: assignments };
}

/**
 * Writes what is needed to look at an embedding without the network: the embeddings of those test images that could be
 * read and where each stands in test-images.json, their labels, nearest neighbours and clusters, and the learners' masks.
 * docs/run-folder.md lists the tensors.
 */
export function writeTestEmbeddings(file: string, written: TestEmbeddings): void {
  const { queries, gallery, own, model, around, masks, epoch } = written;
  const { k, indices, distances } = around.neighbours;
  const shape = [queries.labels.length, k];
  scope(() =>
    noGrad(() => {
      const tensors = new Map<string, Tensor>([
        ['embeddings', queries.embeddings.to('cpu')],
        ['labels', tensor(queries.labels)],
        ['positions', tensor(queries.positions)],
        ['neighbours', tensor(indices, { shape })],
        ['distances', tensor(distances, { shape })],
        ['clusters', tensor(around.clusters)],
        ['masks', learnerMasks(model, masks).to('cpu')],
      ]);
      if (gallery) {
        tensors.set('gallery_embeddings', gallery.embeddings.to('cpu'));
        tensors.set('gallery_labels', tensor(gallery.labels));
        tensors.set('gallery_positions', tensor(gallery.positions));
        const pairs = [...own].flatMap(([query, places]) => places.flatMap((place) => [query, place]));
        if (pairs.length > 0)
          tensors.set('own', tensor(Int32Array.from(pairs), { shape: [pairs.length / 2, 2] }));
      }
      writeSafetensors(file, tensors, {
        format: 'conquer-embeddings-1',
        epoch: String(epoch),
        images: String(queries.total),
        ...(gallery && { gallery_images: String(gallery.total) }),
      });
    }),
  );
}

/** What a run's embeddings.safetensors and test-images.json say together, of the images that could be read. */
export interface ReadTestEmbeddings {
  /** (N, D) */
  embeddings: Float32Array;
  dim: number;
  /** (N, depth) rows of what is searched, nearest first. */
  neighbours: Int32Array;
  depth: number;
  /** The files of the rows. */
  queries: ImageList;
  /** null: the queries are searched among themselves. */
  gallery: ImageList | null;
}

/**
 * @param isReadable of an older file, asked of images in whose place another may stand; default: decodes them
 * @throws UserError when a file is missing or damaged, or they do not fit each other
 */
export async function readTestEmbeddings(
  run: RunFolder,
  isReadable: (path: string) => Promise<boolean> = canBeDecoded,
): Promise<ReadTestEmbeddings> {
  const { tensors, metadata } = readFile(run.embeddingsFile);
  const arrays = new Map([...tensors].map(([name, value]) => [name, value.toTypedArray()]));
  const [, dim = 0] = tensors.get('embeddings')?.shape ?? [];
  const [, depth = 0] = tensors.get('neighbours')?.shape ?? [];
  for (const value of tensors.values()) value.dispose();
  const list = (all: ImageList, prefix: string) => {
    const [labels, positions] = ['labels', 'positions'].map(
      (name) => (arrays.get(`${prefix}${name}`) ?? null) as Int32Array | null,
    );
    const total = metadata[`${prefix}images`];
    const images =
      labels && imagesOfRows(all, labels, positions ?? null, total === undefined ? null : Number(total));
    if (!images)
      throw new UserError(`${run.testImagesFile} lists other images than ${run.embeddingsFile} is of`);
    return images;
  };
  const images = run.testImages();
  const queries = list(images.queries, '');
  const gallery = images.gallery && list(images.gallery, 'gallery_');
  const embeddings = arrays.get('embeddings') as Float32Array;
  const read = {
    embeddings,
    dim,
    neighbours: arrays.get('neighbours') as Int32Array,
    depth,
    queries,
    gallery,
  };
  if (arrays.has('positions') || run.settings()['on-bad-image'] !== 'skip') return read;

  const standIns = async (vectors: Float32Array, { paths, labels }: ImageList) => {
    const likely = likelyStandIns(vectors, dim, Int32Array.from(labels));
    const readable = await Promise.all(likely.map((row) => isReadable(paths[row] as string)));
    return new Set(likely.filter((_, i) => !readable[i]));
  };
  const bad = await standIns(embeddings, queries);
  const badGallery = gallery && (await standIns(arrays.get('gallery_embeddings') as Float32Array, gallery));
  const without = <T>(values: T[], rows: ReadonlySet<number>) => values.filter((_, row) => !rows.has(row));
  const listWithout = (all: ImageList, rows: ReadonlySet<number>): ImageList => ({
    ...all,
    paths: without(all.paths, rows),
    labels: without(all.labels, rows),
  });
  const distances = arrays.get('distances') as Float32Array;
  return {
    ...read,
    ...neighboursWithout({ ...read, distances }, bad, badGallery ?? bad),
    embeddings: embeddings.filter((_, at) => !bad.has(Math.floor(at / dim))),
    queries: listWithout(queries, bad),
    gallery: gallery && listWithout(gallery, badGallery ?? new Set()),
  };
}

function readFile(file: string): ReturnType<typeof readSafetensors> {
  try {
    return readSafetensors(file);
  } catch (error) {
    if (!(error instanceof SerializationError)) throw error;
    throw new UserError(`the embeddings of the test images cannot be read: ${error.message}`);
  }
}

/** One that is not there is not known to be bad. */
async function canBeDecoded(path: string): Promise<boolean> {
  if (!existsSync(path)) return true;
  const size = { width: 8, height: 8 };
  try {
    await decodeImages([{ image: path, size, fit: 'cover' }], new Uint8Array(8 * 8 * 3));
    return true;
  } catch (error) {
    if (error instanceof ImageError) return false;
    throw error;
  }
}

/** (K, D): what turns the embeddings, as they are, into a learner's: normalise(embeddings * mask). */
function learnerMasks(model: EmbeddingModel, applied: MaskSum | undefined): Tensor {
  const masks = model.learnerMasks.effective();
  if (applied === undefined) return masks;
  // Where the sum is 0 so is every mask: 0 / 0 means 0.
  const sum = model.learnerMasks.sumForFullEmbedding(applied);
  return masks.div(sum.maskedFill(sum.eq(0), 1));
}
