import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import type { LossTerm } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import type { Miner } from '../miners/miner.js';
import type { Labelled, Rows } from '../rows.js';
import { asPairs, asTuples, countOf, type Mined, minedAnchors } from '../tuples.js';

/** What came of a batch against all that it is compared with. */
export interface SumOfTerms {
  /** (), which belongs to the caller; null where there is nothing to learn from. */
  value: Tensor | null;
  /** Tuples of the miner, or pairs for a loss of pairs; null for a loss without tuples. */
  numTuples: number | null;
  /** Images of the batch that are the anchor of no tuple; null for a loss without tuples. */
  anchorsWithoutTuples: number | null;
  /** Why there is nothing to learn from, or null. */
  skipped: string | null;
}

export const nothingToCompare = 'its classes do not give the loss anything to compare';

/** The weighted sum of the losses of a batch against each set that it is compared with, those that have any. */
export function sumOfTerms(
  loss: Loss,
  miner: Miner | null,
  anchors: Rows,
  terms: readonly LossTerm[],
  onMined: () => void = () => {},
): SumOfTerms {
  return scope(() => {
    const enough = terms.filter(({ reference }) => loss.hasEnough(anchors, reference));
    if (enough.length === 0)
      return { value: null, numTuples: null, anchorsWithoutTuples: null, skipped: nothingToCompare };
    const mined = enough.map((term) => ({ ...term, mined: mine(loss, miner, anchors, term.reference) }));
    onMined();
    const found = mined.flatMap(({ mined }) => mined ?? []);
    const numTuples = found.length === 0 ? null : found.reduce((sum, each) => sum + countOf(each), 0);
    const having = new Set(found.flatMap((each) => [...minedAnchors(each)]));
    const anchorsWithoutTuples = found.length === 0 ? null : anchors.labels.length - having.size;
    const values = mined.flatMap(({ reference, weight, mined }) => {
      if (mined !== null && countOf(mined) === 0) return [];
      const value = loss.forward(anchors, reference, mined);
      return [weight === 1 ? value : value.mul(weight)];
    });
    const what = loss.takes === 'tuples' ? 'tuple' : 'pair';
    const nothing = anchors.pairs
      ? 'it holds no pair that is known'
      : `the miner found no valid ${what} in the batch`;
    const skipped = values.length === 0 ? nothing : null;
    const value = values.length === 0 ? null : values.reduce((sum, each) => sum.add(each));
    return { value, numTuples, anchorsWithoutTuples, skipped };
  });
}

/** What a miner finds, as the loss takes it; null for a loss that takes nothing. */
function mine(loss: Loss, miner: Miner | null, anchors: Rows, reference: Rows): Mined | null {
  if (!loss.usesTuples) return null;
  // Nobody has to look for pairs that are known.
  if (anchors.pairs) return anchors.pairs.among(anchors.imageIds, reference.imageIds);
  if (miner === null) return null;
  const rows = withoutGradient(anchors);
  const found = noGrad(() => miner.mine(rows, reference === anchors ? rows : withoutGradient(reference)));
  return { pairs: asPairs, tuples: asTuples, either: (all: Mined) => all }[loss.takes](found);
}

const withoutGradient = ({ embeddings, raw: _, ...owners }: Rows): Labelled & Rows => ({
  ...owners,
  embeddings: embeddings.detach(),
});
