import { F, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { CircleLoss } from '../losses/circle.js';
import { CrossBatchMemory } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import { MultiSimilarityLoss } from '../losses/multi-similarity.js';
import { NtXentLoss } from '../losses/nt-xent.js';
import { PairContrastiveLoss } from '../losses/pair-contrastive.js';
import { SupConLoss } from '../losses/sup-con.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import type { Miner } from '../miners/miner.js';
import { MultiSimilarityMiner } from '../miners/multi-similarity.js';
import type { Rows } from '../rows.js';
import { sumOfTerms } from '../train/loss-terms.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  GoldenFormatError,
  lossCases,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readObject,
  TOLERANCE,
  toTensor,
} from './check.js';

type Case = Record<string, unknown>;

/** The authors' code, research-xbm, whose losses are not quite those of pytorch-metric-learning. */
const isAuthors = ({ implementation }: Case) => String(implementation).startsWith('authors');

const distanceOf = ({ distance }: Case): 'cosine' | 'euclidean' => {
  if (distance === 'cosine' || distance === 'euclidean') return distance;
  throw new GoldenFormatError(`expected a distance of cosine or euclidean, got ${distance}`);
};

const losses: Record<string, (number: (option: string) => number, item: Case, options: Case) => Loss> = {
  contrastive: (number, item, options) =>
    new PairContrastiveLoss({
      distance: distanceOf(options),
      negMargin: number('negMargin'),
      ...(isAuthors(item) ? { form: 'xbm' } : { posMargin: number('posMargin') }),
    }),
  triplet: (number, _, options) =>
    new TripletAllLoss({
      distance: distanceOf(options),
      margin: number('margin'),
      averageNonZeroOnly: true,
    }),
  multiSimilarity: (number, item) =>
    new MultiSimilarityLoss({
      posWeight: number('alpha'),
      negWeight: number('beta'),
      threshold: number('base'),
      // Its own mining is the authors'; pytorch-metric-learning has none, or a miner's.
      margin: isAuthors(item) ? number('epsilon') : null,
      mined: item.miner !== undefined,
    }),
  ntXent: (number) => new NtXentLoss({ temperature: number('temperature') }),
  supCon: (number) => new SupConLoss({ temperature: number('temperature') }),
  circle: (number) => new CircleLoss({ margin: number('m'), gamma: number('gamma') }),
};

/** cross-batch-memory.json: batches in a row against a memory, values, gradients, and what is in which slot. */
export const checkCrossBatchMemory: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const { place, name, item, make, options, number } of lossCases(cases, losses, comparison))
    compareSteps(comparison, `${place} ${name}`, make(number, item, options), item, on);
  return comparison.result;
};

function compareSteps(comparison: Comparison, what: string, loss: Loss, item: Case, on: Arithmetic): void {
  const authors = isAuthors(item);
  using memory = new CrossBatchMemory({
    size: readNumber(item.memorySize, `memorySize of ${what}`),
    startStep: 0,
    form: authors ? 'authors' : 'paper',
    weight: authors ? readNumber(readObject(item.options, 'options').memoryWeight, 'memoryWeight') : null,
  });
  const miner = minerOf(item, what);
  let images = 0;
  for (const [at, step] of readCases(item.steps).entries()) {
    const where = `${what}, step ${at}`;
    scope(() => {
      const embeddings = toTensor(readGoldenTensor(step.embeddings, `the embeddings of ${where}`), on);
      embeddings.requiresGrad_();
      const labels = readIndices(step.labels, `the labels of ${where}`);
      const owners = { labels, imageIds: labels.map((_, row) => images + row) };
      images += labels.length;
      memory.add(0, embeddings, owners);
      const { rows, owners: remembered } = memory.remembered(0)!;
      const batch: Rows = { ...owners, embeddings: F.normalize(embeddings) };
      const kept: Rows = { ...remembered, embeddings: noGrad(() => F.normalize(rows)) };
      const terms = memory.terms(batch, kept);
      const values = terms.map((term) => sumOfTerms(loss, miner, batch, [term]).value);
      const close = (of: string, got: Tensor | null | undefined, want: unknown) =>
        comparison.close(`${where}: ${of}`, [got?.item() ?? 0], [readNumber(want, `${of} of ${where}`)]);
      if (authors) {
        close('value of the batch', values[0], step.batchValue);
        close('value of the memory', values[1]?.div(terms[1]!.weight), step.memoryValue);
      }
      const { value } = sumOfTerms(loss, miner, batch, terms);
      close('value', value, step.value);
      value?.backward();
      const gradient = readGoldenTensor(step.gradEmbeddings, `the gradient of ${where}`);
      comparison.close(`${where}: gradient`, embeddings.grad?.toNumbers() ?? [], gradient.data);
      comparison.same(`${where}: slots`, remembered.labels, readIndices(step.memoryLabels, 'memoryLabels'));
      comparison.same(`${where}: next slot`, [memory.nextSlot(0)], [readNumber(step.nextSlot, 'nextSlot')]);
    });
  }
}

/** As pytorch-metric-learning has it, an anchor's own image is a positive for the bounds. */
function minerOf({ miner }: Case, what: string): Miner | null {
  if (miner === undefined) return null;
  const { name, epsilon } = readObject(miner, `the miner of ${what}`);
  if (name !== 'multiSimilarity') throw new GoldenFormatError(`expected multiSimilarity, got ${name}`);
  return new MultiSimilarityMiner({ epsilon: readNumber(epsilon, 'epsilon'), ownImageBounds: true });
}
