import { UserError } from '@conquer-dml/run';
import { nn, ones, rowDistances, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import type { Cutoff } from '../mining-bounds.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';
import { knownPairs, Loss, type LossContext, lossPart, minedTuples } from './loss.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.2).describe('α: how far from the boundary a pair has to be'),
  beta: z
    .number()
    .default(1.2)
    .describe('where β, the boundary between same and different, starts; it is learned'),
  nu: z
    .number()
    .min(0)
    .default(0)
    .describe('ν: weight of the boundaries in the loss; larger values push them down'),
});

export interface MarginLossOptions extends z.input<typeof options> {
  /** A boundary for each of so many classes instead of a shared one, which is the default. */
  numClasses?: number | undefined;
  /**
   * 'dcesml': miners keep to the boundary that there is at the beginning, whatever is learned.
   * 'revisiting-dml': divide by the number of tuples with a loss in either of their pairs, as that collection does,
   * instead of the number of pairs (up to twice the value), and round β to float32 whatever its precision.
   */
  compat?: Compat | null;
}

/**
 * Margin loss (Wu, Manmatha, Smola, Krähenbühl, "Sampling matters in deep embedding learning", ICCV 2017):
 *
 *     (Σ_ap [d_ap - β + α]₊ + Σ_an [β - d_an + α]₊ + ν Σ |β|) / number of pairs with a loss
 *
 * where d = sqrt(Σ (x - y)² + 1e-8). β is learned: one number, or one for each class of the anchor. A batch whose
 * pairs all have zero loss gives 0.
 */
export class MarginLoss extends Loss {
  readonly usesTuples = true;
  readonly usesReference = true;
  readonly margin: number;
  readonly nu: number;
  readonly perClass: boolean;
  readonly #asCollection: boolean;
  readonly #zeroLossAtStart: number | null;
  /** (1,) or (numClasses,), float32 unless moved. */
  readonly beta: Tensor;

  constructor({ numClasses, compat, ...given }: MarginLossOptions = {}) {
    super();
    const { margin, beta, nu } = withDefaults('MarginLoss', options, given);
    this.margin = margin;
    this.nu = nu;
    this.perClass = numClasses !== undefined;
    this.#asCollection = compat === 'revisiting-dml';
    this.#zeroLossAtStart = compat === 'dcesml' ? beta + margin : null;
    this.beta = nn.parameter(ones([numClasses ?? 1]).mul_(beta));
  }

  /** Not with boundaries of classes, which pairs do not have, nor as the collection counts tuples. */
  override get takesKnownPairs(): boolean {
    return !this.perClass && !this.#asCollection;
  }

  forward(of: Rows, reference: Rows, mined: Mined | null): Tensor {
    return scope(() => {
      const { positiveAnchors, positives, negativeAnchors, negatives } =
        of.pairs && this.takesKnownPairs
          ? knownPairs('margin', of, reference)
          : asPairs(minedTuples('margin', of, reference, mined));
      // The 1e-8 bounds the root's gradient.
      const distances = (anchors: Int32Array, others: Int32Array) =>
        rowDistances(of.embeddings, reference.embeddings, anchors, others, { leastSquare: 1e-8 });
      const ofAnchors = this.perClass ? this.betaOfAnchors(of, positiveAnchors) : this.beta;
      const beta = this.#asCollection ? ofAnchors.to('float32') : ofAnchors;
      const regularisation = beta.norm(1).mul(this.nu);
      const positiveLoss = distances(positiveAnchors, positives).sub(beta).add(this.margin).relu();
      const negativeLoss = beta.sub(distances(negativeAnchors, negatives)).add(this.margin).relu();

      const [farPositive, nearNegative] = [positiveLoss.gt(0), negativeLoss.gt(0)];
      const active = this.#asCollection
        ? farPositive.logicalOr(nearNegative).sum()
        : farPositive.sum().add(nearNegative.sum());
      return positiveLoss
        .sum()
        .add(negativeLoss.sum())
        .add(regularisation.mul(active.gt(0)))
        .div(active.clamp({ min: 1 }));
    });
  }

  /** Of each tuple: (T,), from its anchor (T,). */
  private betaOfAnchors(of: Rows, anchors: Int32Array): Tensor {
    const classes = classTargets('margin loss', of, this.beta.size(0));
    const rows = tensor(anchors, { dtype: 'int64', device: of.embeddings.device });
    return this.beta.indexSelect(0, classes.indexSelect(0, rows));
  }

  override semihardMargin(): number {
    return this.margin;
  }

  /** β + margin. */
  override zeroLossDistance(): Cutoff {
    if (this.#zeroLossAtStart !== null) return this.#zeroLossAtStart;
    const beta = this.beta.toNumbers();
    if (!this.perClass) return (beta[0] as number) + this.margin;
    return (anchorLabel) => {
      const boundary = beta[anchorLabel];
      if (boundary !== undefined) return boundary + this.margin;
      throw new UserError(
        `margin loss: expected labels 0…${beta.length - 1} for its ${beta.length} classes, got ${anchorLabel}`,
      );
    };
  }
}

export const margin = lossPart({
  name: 'margin',
  help: 'margin loss with a learned boundary (Wu et al. 2017)',
  usesTuples: true,
  learns: true,
  options: options.extend({
    betaPerClass: z.boolean().default(false).describe('a boundary for each class of the anchor'),
  }),
  build: ({ betaPerClass, ...options }, { numClasses, compat }: LossContext) =>
    new MarginLoss({ ...options, compat, ...(betaPerClass && { numClasses }) }),
});
