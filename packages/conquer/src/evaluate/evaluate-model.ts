import { type Metrics, UserError } from '@conquer-dml/run';
import { cat, F, noGrad, ProcessGroup, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Batch } from '../data/loader.js';
import type { TrainingData } from '../data/training-data.js';
import { type ImagePairs, pairsAmong } from '../image-pairs.js';
import type { EmbeddingNetwork, EmbedOptions } from '../models/embedding-network.js';
import type { Ball } from '../neighbours/poincare.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { type EmbedImagesOptions, embedImages } from './embed.js';
import { type EvaluateOptions, evaluateEmbeddings } from './evaluate.js';
import { evaluatePairs } from './evaluate-pairs.js';
import type { ListedDistances } from './listed-distances.js';

export interface EvaluateModelOptions
  extends EmbedOptions,
    Pick<EmbedImagesOptions, 'profile' | 'group'>,
    Pick<
      EvaluateOptions,
      | 'recallAt'
      | 'nmi'
      | 'extended'
      | 'metrics'
      | 'prefixes'
      | 'rerank'
      | 'expand'
      | 'onQuery'
      | 'onClustering'
    > {
  /** The loss's, where it has one (`Loss.ball`): searches go by distances in it. null: by the angle. */
  ball?: Ball | null | undefined;
  /**
   * By positions in the splits, what of the gallery (without one, of the queries themselves) each query leaves out besides itself.
   * Queries that can find nothing then are left out of the means.
   */
  nearDuplicates?: OwnInGallery | undefined;
  /** Default 'test', whose images are looked for in the gallery where there is one. */
  split?: 'test' | 'validation';
  /** Images embedded so far, of queries and gallery together. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Told while the nearest are looked for, as so many queries of all. */
  onSearch?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Told of the distances of pairs, where the data have them in the place of classes. */
  onDistances?: ((distances: ListedDistances) => void) | undefined;
  /** Ends the work early, with Interrupted. */
  signal?: AbortSignal | undefined;
}

/** Embeddings of unit length that all lie this close to their mean say the same of every image. */
const COLLAPSED = 0.01;

/** The images of a split that could be read. */
export interface MeasuredImages {
  /** (N, D), rows of length 1. */
  embeddings: Tensor;
  /** (N, D), the same before they were scaled, where they are compared in a ball. */
  unscaled?: Tensor | undefined;
  /** (N,) */
  labels: Int32Array;
  /** All labels of each, where it may have several. */
  labelSets?: readonly Int32Array[] | undefined;
  /** (N,) where in the split each one is, ascending. */
  positions: Int32Array;
  /** Images of the split, those included that could not be read. */
  total: number;
}

/** What an evaluation found, and what it was found in; dispose() frees the embeddings. */
export interface ModelEvaluation {
  metrics: Metrics;
  queries: MeasuredImages;
  /** null where the queries are looked for among themselves. */
  gallery: MeasuredImages | null;
  /** In which images were searched; null or left out: by the angle. */
  ball?: Ball | null | undefined;
  /** Where, by rows, the queries' own files are in the gallery. */
  own: OwnInGallery;
  /** Whether all images of two or more classes are embedded as one point, as good as: within 0.01 of their mean. */
  collapsed: boolean;
  /** Frees the embeddings of `queries` and `gallery`. */
  dispose(): void;
}

/**
 * Retrieval and clustering quality of a model on images of unseen classes, see `evaluateEmbeddings`.
 *
 * Of several processes each embeds its part, and rank 0 measures.
 *
 * @returns metrics and embeddings, which belong to the caller: dispose() frees them
 * @throws RangeError when the data have no such split
 * @throws UserError when embeddings are not finite: the weights are damaged, or have diverged
 * @throws Interrupted after `signal` was aborted
 */
export async function evaluateModel(
  model: EmbeddingNetwork,
  data: Pick<
    TrainingData,
    | 'testLabels'
    | 'validationLabels'
    | 'galleryLabels'
    | 'labelSets'
    | 'pairs'
    | 'ownInGallery'
    | 'sameInGallery'
    | 'withoutMatch'
    | 'plain'
  >,
  options: EvaluateModelOptions,
): Promise<ModelEvaluation> {
  const {
    onProgress,
    onSearch,
    onDistances,
    signal,
    split = 'test',
    learner,
    profile,
    group = ProcessGroup.alone(),
    ball = null,
    nearDuplicates,
    ...measuring
  } = options;
  if (nearDuplicates && (data.pairs || measuring.rerank || measuring.expand))
    throw new UserError(
      'near-duplicates are left out of searches among classes that go by the distance alone: expected neither pairs nor re-ranking nor expansion beside them',
    );
  const embed = { ...(learner !== undefined && { learner }), ...(profile && { profile }), group };
  const labels = split === 'test' ? data.testLabels : data.validationLabels;
  if (!labels) throw new RangeError(`evaluateModel: the data have no ${split} images`);
  const galleryLabels = split === 'test' ? data.galleryLabels : undefined;
  const total = labels.length + (galleryLabels?.length ?? 0);
  const embedded: Tensor[] = [];
  const dispose = () => {
    for (const tensor of embedded) tensor.dispose();
  };
  const measured = async (
    name: 'test' | 'validation' | 'gallery',
    labels: Int32Array,
    before: number,
  ): Promise<MeasuredImages> => {
    const ownReplaced = new Set<number>();
    const part = group.share(labels.length);
    const batches = noteReplaced(data.plain(name, part), part.from, ownReplaced);
    const embeddings = await embedImages(model, batches, {
      ...embed,
      ...(ball && { layer: 'unscaled' }),
      signal,
      nameOf: (row) => `${name} image ${row + 1}`,
      onProgress: (done) =>
        onProgress?.({ done: before + Math.min(done * group.size, labels.length), total }),
    });
    const replaced = new Set(group.gatherNumbers(Int32Array.from(ownReplaced)));
    const sets = data.labelSets?.[name];
    const found = without(embeddings, labels, replaced);
    const labelSets = sets && Array.from(found.positions, (at) => sets[at]!);
    embedded.push(found.embeddings);
    const images = { ...found, ...(labelSets && { labelSets }) };
    if (!ball) return images;
    const scaled = scope(() => noGrad(() => F.normalize(found.embeddings))).keep();
    embedded.push(scaled);
    return { ...images, embeddings: scaled, unscaled: found.embeddings };
  };
  try {
    const queries = await measured(split, labels, 0);
    const pairs = data.pairs?.[split];
    if (pairs) {
      const metrics = group.broadcastObject(() => ofPairs(queries, pairs, options));
      return {
        metrics,
        queries,
        gallery: null,
        ball,
        own: new Map(),
        collapsed: collapsed(queries, null),
        dispose,
      };
    }
    const gallery = galleryLabels ? await measured('gallery', galleryLabels, labels.length) : null;
    const own = gallery ? ownRows(data.ownInGallery ?? new Map(), queries, gallery) : new Map();
    const searched = gallery ?? (nearDuplicates ? queries : null);
    const left = searched && nearDuplicates ? ownRows(nearDuplicates, queries, searched) : null;
    const itself = gallery ? own : new Map(Array.from(queries.labels.keys(), (row) => [row, [row]] as const));
    const same =
      gallery && data.sameInGallery
        ? ownRows(data.sameInGallery, queries, gallery)
        : left
          ? itself
          : undefined;
    const measure = () =>
      evaluateEmbeddings(queries.unscaled ?? queries.embeddings, queries.labels, {
        ...measuring,
        ...(ball && { metric: 'hyperbolic', ball }),
        labelSets: queries.labelSets,
        ...(onSearch && { onProgress: onSearch }),
        ...(searched && {
          gallery: {
            ...searched,
            embeddings: searched.unscaled ?? searched.embeddings,
            own: left ? bothOf(itself, left) : own,
            same,
            withoutMatch: left ? 'left out' : data.withoutMatch,
          },
        }),
        stop: signal,
      });
    const metrics = group.broadcastObject(measure);
    return { metrics, queries, gallery, ball, own, collapsed: collapsed(queries, gallery), dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Of pairs of which both images could be read. */
function ofPairs(
  { embeddings, positions }: MeasuredImages,
  pairs: ImagePairs,
  { metrics, rerank, expand, onDistances }: EvaluateModelOptions,
): Metrics {
  if (rerank || expand)
    throw new UserError(
      'pairs are compared by themselves, with no gallery to re-rank or expand by: expected neither for a data set of pairs',
    );
  return evaluatePairs(embeddings, pairsAmong(pairs, positions), {
    ...(metrics && { metrics }),
    onDistances,
  });
}

/** The batches, of rows from `row` on, and in `replaced` those in which the loader put another image than the split's. */
async function* noteReplaced(
  batches: AsyncIterable<Batch>,
  row: number,
  replaced: Set<number>,
): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    for (const index of batch.indices) {
      if (index !== row) replaced.add(row);
      row++;
    }
    yield batch;
  }
}

/** Without these rows, in which another image stands: a query would find that one. Takes `embeddings` over. */
function without(embeddings: Tensor, labels: Int32Array, rows: ReadonlySet<number>): MeasuredImages {
  const positions = Int32Array.from(labels.keys()).filter((row) => !rows.has(row));
  const total = labels.length;
  if (rows.size === 0) return { embeddings, labels, positions, total };
  try {
    const index = () => tensor(positions, { dtype: 'int64', device: embeddings.device });
    const kept = scope(() => embeddings.indexSelect(0, index())).keep();
    return { embeddings: kept, labels: positions.map((row) => labels[row]!), positions, total };
  } finally {
    embeddings.dispose();
  }
}

/** Of images by their positions in the splits, the rows of those that could be read. */
function ownRows(own: OwnInGallery, queries: MeasuredImages, gallery: MeasuredImages): OwnInGallery {
  const rowsOf = ({ positions }: MeasuredImages) => new Map([...positions].map((at, row) => [at, row]));
  const [queryRows, galleryRows] = [rowsOf(queries), rowsOf(gallery)];
  const rows = new Map<number, number[]>();
  for (const [query, places] of own) {
    const row = queryRows.get(query);
    const among = places.map((place) => galleryRows.get(place)).filter((place) => place !== undefined);
    if (row !== undefined && among.length > 0) rows.set(row, among);
  }
  return rows;
}

/** All that either leaves out. */
function bothOf(one: OwnInGallery, other: OwnInGallery): OwnInGallery {
  const rows = [...new Set([...one.keys(), ...other.keys()])];
  return new Map(
    rows.map((row) => [row, [...new Set([...(one.get(row) ?? []), ...(other.get(row) ?? [])])]]),
  );
}

/** A single image, or images of one class, may well be one point. */
function collapsed(queries: MeasuredImages, gallery: MeasuredImages | null): boolean {
  const all = gallery ? [queries, gallery] : [queries];
  if (new Set(all.flatMap(({ labels }) => [...labels])).size < 2) return false;
  return scope(() => radiusOf(cat(all.map(({ embeddings }) => embeddings)))) < COLLAPSED;
}

/** The largest distance from the mean: between half of the largest distance of two embeddings and all of it. */
function radiusOf(embeddings: Tensor): number {
  return scope(() => noGrad(() => embeddings.sub(embeddings.mean(0)).square().sum(1).max().sqrt().item()));
}
