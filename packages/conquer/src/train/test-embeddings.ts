import { noGrad, scope, type Tensor, tensor, writeSafetensors } from '@conquer-dml/torch';
import { kMeans } from '../clustering/kmeans.js';
import type { ModelEvaluation } from '../evaluate/evaluate-model.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { nearestInBall } from '../neighbours/hyperboloid.js';
import { nearestNeighbours } from '../neighbours/nearest.js';
import type { Neighbours } from '../neighbours/neighbours.js';
import { mostOwn, withoutOwn } from '../neighbours/without-own.js';
import { Random } from '../random.js';
import type { StopCheck } from '../stop-check.js';

/** Neighbours kept of each query: what a page shows of it. */
export const KEPT_NEIGHBOURS = 20;

export interface TestEmbeddings extends Pick<ModelEvaluation, 'queries' | 'gallery' | 'own'> {
  /** (L, D) on the CPU, see `learnerMasks`. */
  masks: Tensor;
  around: Surroundings;
  epoch: number;
}

/** What lies around the test images: their neighbours, and as many clusters as there are learners. */
export interface Surroundings {
  neighbours: Neighbours;
  /** (N,) */
  clusters: Int32Array;
}

/** @throws Interrupted after `stop` */
export function surroundings(
  { queries, gallery, ball, own: left }: Pick<ModelEvaluation, 'queries' | 'gallery' | 'ball' | 'own'>,
  numLearners: number,
  stop?: StopCheck | undefined,
): Surroundings {
  const { embeddings } = queries;
  const among = gallery?.embeddings ?? null;
  // In a ball queries are searched in a gallery of their own, which they are left out of.
  const own =
    ball && !gallery ? new Map(Array.from(queries.labels.keys(), (row) => [row, [row]] as const)) : left;
  const k = Math.min(KEPT_NEIGHBOURS, among ? among.size(0) - mostOwn(own) : embeddings.size(0) - 1);
  const inBall = queries.unscaled;
  const found =
    ball && inBall
      ? nearestInBall(inBall, gallery?.unscaled ?? inBall, k + mostOwn(own), ball, stop)
      : nearestNeighbours(embeddings, among, k + mostOwn(own), { stop });
  const neighbours = withoutOwn(found, 0, own, k);
  const numClusters = Math.min(Math.max(2, numLearners), embeddings.size(0));
  const options = { random: new Random(0), stop };
  const { assignments, centroids } = kMeans(embeddings, numClusters, options);
  centroids.dispose();
  return { neighbours, clusters: assignments };
}

/**
 * Writes what is needed to look at an embedding without the network: the embeddings of those test images that could be
 * read and where each stands in test-images.json, their labels, nearest neighbours and clusters, and the learners' masks.
 * docs/run-folder.md lists the tensors.
 */
export function writeTestEmbeddings(file: string, written: TestEmbeddings): void {
  const { queries, gallery, own, masks, around, epoch } = written;
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
        ['masks', masks],
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

/** (L, D): what turns the embeddings, as they are, into a learner's: normalise(embeddings * mask). The caller disposes it. */
export function learnerMasks(model: EmbeddingModel): Tensor {
  return scope(() =>
    noGrad(() => {
      const masks = model.learnerMasks.effective();
      const sum = model.fullEmbeddingMask();
      // Where the sum is 0 so is every mask: 0 / 0 means 0.
      const used = sum === null ? masks.clone() : masks.div(sum.maskedFill(sum.eq(0), 1));
      return used.to('cpu').keep();
    }),
  );
}
