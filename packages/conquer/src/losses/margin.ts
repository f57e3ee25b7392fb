import { UserError } from '@conquer-dml/run';
import { nn, ones, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import type { Cutoff } from '../mining-bounds.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { asTuples, type Mined } from '../tuples.js';
import { Loss, type LossContext, lossPart, selectKnownPairs, selectTuples } from './loss.js';

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
      if (of.pairs && this.takesKnownPairs) return this.ofKnownPairs(of, reference);
      const { anchors, positives, negatives } = selectTuples('margin', of, reference, mined);
      const ofAnchors = this.perClass ? this.betaOfAnchors(of, mined as Mined) : this.beta;
      const beta = this.#asCollection ? ofAnchors.to('float32') : ofAnchors;
      const regularisation = beta.norm(1).mul(this.nu);
      const positiveLoss = distance(anchors, positives).sub(beta).add(this.margin).relu();
      const negativeLoss = beta.sub(distance(anchors, negatives)).add(this.margin).relu();

      const [farPositive, nearNegative] = [positiveLoss.gt(0), negativeLoss.gt(0)];
      const active = this.#asCollection
        ? farPositive.logicalOr(nearNegative).sum()
        : farPositive.sum().add(nearNegative.sum());
      const total = positiveLoss
        .add(negativeLoss)
        .sum()
        .add(regularisation.mul(active.gt(0)));
      return total.div(active.clamp({ min: 1 }));
    });
  }

  /** The same of pairs that are known, each counted once. */
  private ofKnownPairs(of: Rows, reference: Rows): Tensor {
    const { same, different } = selectKnownPairs('margin', of, reference);
    const far = distance(...same)
      .sub(this.beta)
      .add(this.margin)
      .relu();
    const near = this.beta
      .sub(distance(...different))
      .add(this.margin)
      .relu();
    const active = far.gt(0).sum().add(near.gt(0).sum());
    const regularisation = this.beta.norm(1).mul(this.nu).mul(active.gt(0));
    return far
      .sum()
      .add(near.sum())
      .add(regularisation)
      .div(active.clamp({ min: 1 }));
  }

  /** (T,) */
  private betaOfAnchors(of: Rows, mined: Mined): Tensor {
    const { anchors } = asTuples(mined);
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

/** Euclidean distances of paired rows: (T, D), (T, D) → (T,). The 1e-8 bounds the root's gradient. */
function distance(a: Tensor, b: Tensor): Tensor {
  return a.sub(b).square().sum(1).add(1e-8).sqrt();
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
