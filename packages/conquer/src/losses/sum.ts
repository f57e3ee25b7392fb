import { UserError } from '@conquer-dml/run';
import { scope, type Tensor } from '@conquer-dml/torch';
import type { Cutoff } from '../mining-bounds.js';
import type { Ball } from '../neighbours/poincare.js';
import type { Labelled, Rows } from '../rows.js';
import { asPairs, asTuples, countOf, type Mined } from '../tuples.js';
import { Loss } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';

/** One of several losses, and how much it counts. */
export interface WeightedLoss {
  loss: Loss;
  weight: number;
}

/**
 * The weighted sum of losses: `loss: [{ name: 'proxy-anchor' }, { name: 'koleo', weight: 0.1 }]`. A batch that one of them
 * can make nothing of still trains the others. What they learn is saved under `losses.0`, `losses.1`, …; disposing it frees
 * them.
 */
export class SumLoss extends Loss {
  readonly losses: readonly Loss[];
  readonly weights: readonly number[];
  readonly usesTuples: boolean;
  readonly usesReference: boolean;

  /** @throws UserError for no loss at all */
  constructor(terms: readonly WeightedLoss[]) {
    super();
    if (terms.length === 0) throw new UserError('a sum of losses: expected at least one loss, got none');
    this.losses = terms.map(({ loss }) => loss);
    this.weights = terms.map(({ weight }) => weight);
    this.usesTuples = this.losses.some((loss) => loss.usesTuples);
    this.usesReference = this.losses.some((loss) => loss.usesReference);
  }

  override get takes() {
    return 'either' as const;
  }

  /** Of the first that has one. */
  override get ball(): Ball | null {
    return this.losses.map(({ ball }) => ball).find((ball) => ball !== null) ?? null;
  }

  override get takesSeveralLabels(): boolean {
    return this.losses.every((loss) => loss.takesSeveralLabels);
  }

  override get takesKnownPairs(): boolean {
    return this.losses.every((loss) => loss.takesKnownPairs);
  }

  /** Whether one of them has. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return this.losses.some((loss) => loss.hasEnough(anchors, reference));
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const values = this.losses.flatMap((loss, i) => {
        if (!loss.hasEnough(anchors, reference)) return [];
        // Known pairs are taken as they are.
        const taken = anchors.pairs ? mined : takenBy(loss, mined);
        const found = loss.usesTuples ? taken : null;
        if (loss.usesTuples && (found === null || countOf(found) === 0)) return [];
        return [loss.forward(anchors, reference, found).mul(this.weights[i]!)];
      });
      return values.length === 0 ? nothingToLearn(anchors) : values.reduce((sum, value) => sum.add(value));
    });
  }

  override zeroLossDistance(): Cutoff {
    return this.miningLoss.zeroLossDistance();
  }

  override semihardMargin(): number {
    return this.miningLoss.semihardMargin();
  }

  /** Whom the miner asks: the first that takes tuples. */
  private get miningLoss(): Loss {
    return this.losses.find((loss) => loss.usesTuples) ?? this.losses[0]!;
  }
}

/** What was mined, as a loss takes it. */
function takenBy({ takes }: Loss, mined: Mined | null): Mined | null {
  if (mined === null || takes === 'either') return mined;
  return takes === 'pairs' ? asPairs(mined) : asTuples(mined);
}
