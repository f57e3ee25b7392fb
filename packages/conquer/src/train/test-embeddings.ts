import { noGrad, scope, type Tensor, tensor, writeSafetensors } from '@conquer/torch';
import { kMeansSteps } from '../distances/kmeans.js';
import { allNeighbours, type Neighbours } from '../distances/nearest.js';
import type { Steps } from '../distances/steps.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { MaskSum } from '../models/masks.js';
import { Random } from '../random.js';
import type { ModelEvaluation } from './evaluate-model.js';

/** Neighbours kept of each query: what a page shows of it. */
const NEIGHBOURS = 20;

export interface TestEmbeddings extends Pick<ModelEvaluation, 'queries' | 'gallery'> {
  /** (N,) and (M,) */
  labels: Int32Array;
  galleryLabels?: Int32Array | undefined;
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
  { queries, gallery }: Pick<ModelEvaluation, 'queries' | 'gallery'>,
  numLearners: number,
): Steps<Surroundings> {
  const k = Math.min(NEIGHBOURS, gallery ? gallery.size(0) : queries.size(0) - 1);
  const neighbours = yield* allNeighbours(queries, gallery, k);
  const numClusters = Math.min(Math.max(2, numLearners), queries.size(0));
  const { assignments, centroids } = yield* kMeansSteps(queries, numClusters, { random: new Random(0) });
  centroids.dispose();
  return { neighbours, clusters: assignments };
}

/**
 * Writes what is needed to look at an embedding without the network: the test images' embeddings, their labels,
 * nearest neighbours and clusters, and the learners' masks. docs/run-folder.md lists the tensors.
 */
export function writeTestEmbeddings(file: string, embeddings: TestEmbeddings): void {
  const { queries, gallery, labels, galleryLabels, model, around, masks, epoch } = embeddings;
  const { k, indices, distances } = around.neighbours;
  scope(() =>
    noGrad(() => {
      const among = gallery ?? queries;
      const tensors = new Map<string, Tensor>([
        ['embeddings', queries.to('cpu')],
        ['labels', tensor(labels)],
        ['neighbours', tensor(indices, { shape: [queries.size(0), k] })],
        ['distances', tensor(distances, { shape: [queries.size(0), k] })],
        ['clusters', tensor(around.clusters)],
        ['masks', learnerMasks(model, masks).to('cpu')],
      ]);
      if (gallery && galleryLabels) {
        tensors.set('gallery_embeddings', among.to('cpu'));
        tensors.set('gallery_labels', tensor(galleryLabels));
      }
      writeSafetensors(file, tensors, { format: 'conquer-embeddings-1', epoch: String(epoch) });
    }),
  );
}

/** (K, D): what turns the embeddings, as they are, into a learner's: normalise(embeddings * mask). */
function learnerMasks(model: EmbeddingModel, applied: MaskSum | undefined): Tensor {
  const masks = model.learnerMasks.effective();
  if (applied === undefined) return masks;
  // Where the sum is 0 so is every mask: 0 / 0 means 0.
  const sum = model.learnerMasks.sumForFullEmbedding(applied);
  return masks.div(sum.maskedFill(sum.eq(0), 1));
}
