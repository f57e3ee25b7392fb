import { UserError } from '@conquer-dml/run';
import { F, type Generator, nn, noGrad, ones, scope, stack, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { withDefaultsAt } from '../part.js';

/** What the learners' masks are like. */
export const maskOptions = z.strictObject({
  kind: z
    .enum(['learned', 'fixed', 'nested'])
    .default('learned')
    .describe(
      'masks of the learners: trained with the network, a share of the dimensions for each, or nested: the first share for the first learner, the first two for the second, …, so that a prefix is a smaller embedding',
    ),
  initialisation: z
    .enum(['ones', 'normal'])
    .default('ones')
    .describe('first mask: ones, or drawn from N(0.9, 0.7); fixed and nested masks are ones'),
  relu: z.boolean().default(true).describe('count negative mask entries as 0'),
});

export interface MaskOptions extends z.input<typeof maskOptions> {
  /** Learners to start with: a power of two, made from the first mask by doubling. Default 1. */
  numLearners?: number | undefined;
  /** Draws a 'normal' mask; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/** The way from the learners' masks to one for the whole embedding: their sum, each scaled to sum 1 for 'sum-l1'. */
export type MaskSum = 'sum' | 'sum-l1';

/**
 * One mask over the embedding's dimensions for each learner (Sanakoyeu et al., arXiv 2109.04003, section 3.3).
 * Learned masks are parameters, fixed and nested ones buffers; all are named masks.0, masks.1, ... in state dicts.
 */
export class LearnerMasks extends nn.Module {
  readonly kind: z.output<typeof maskOptions>['kind'];
  readonly relu: boolean;
  /** As stored, before the ReLU: one (D) for each learner. Replaced by double() and halve(). */
  masks: Tensor[];

  /**
   * @param embeddingDim D
   * @throws UserError for fixed or nested masks that are to be drawn, a number of learners that is no power of two, or
   *   more learners than such masks have dimensions
   */
  constructor(
    readonly embeddingDim: number,
    options: MaskOptions = {},
  ) {
    super();
    const { numLearners = 1, generator, ...given } = options;
    const { kind, initialisation, relu } = withDefaultsAt('masks', maskOptions, given);
    if (kind !== 'learned' && initialisation !== 'ones') {
      throw new OptionError(
        'masks.initialisation',
        `${kind} masks are ones and zeros: initialisation '${initialisation}' needs learned masks`,
      );
    }
    requirePowerOfTwo(numLearners);
    this.kind = kind;
    this.relu = relu;
    const first = ones([embeddingDim]);
    if (initialisation === 'normal') nn.init.normal_(first, 0.9, 0.7, { generator });
    this.masks = [this.own(first)];
    while (this.numLearners < numLearners) this.double();
  }

  /** K. */
  get numLearners(): number {
    return this.masks.length;
  }

  /**
   * The mask of a learner as it is applied: (D), after the ReLU, differentiable; it belongs to the caller.
   * @throws RangeError for a learner that is not there
   */
  learner(index: number): Tensor {
    const mask = this.masks[index];
    if (mask === undefined) {
      throw new RangeError(`there are ${this.numLearners} learners, numbered from 0: got learner ${index}`);
    }
    // Without a ReLU a view, so that the caller owns what it gets.
    return this.relu ? mask.relu() : mask.view([this.embeddingDim]);
  }

  /** All masks as stored: (K, D), differentiable; it belongs to the caller. */
  stacked(): Tensor {
    return stack(this.masks);
  }

  /** (K, D) numbers, as they are applied. */
  toLists(): number[][] {
    return scope(() => noGrad(() => this.effective().tolist() as number[][]));
  }

  /** All masks as they are applied, after the ReLU: (K, D), differentiable; it belongs to the caller. */
  effective(): Tensor {
    return scope(() => (this.relu ? this.stacked().relu() : this.stacked()));
  }

  /** One mask for the whole embedding: (D), differentiable; it belongs to the caller. */
  sumForFullEmbedding(sum: MaskSum): Tensor {
    return scope(() => {
      const masks = this.effective();
      return (sum === 'sum-l1' ? F.normalize(masks, { p: 1, dim: 1 }) : masks).sum(0);
    });
  }

  /**
   * Doubles the learners: learner i becomes 2i and 2i + 1. A learned mask is copied to both; a fixed one gives
   * the first half of its ones to the first and the rest to the second; nested ones are those of so many learners. The old tensors are disposed: hand the
   * new ones to the optimiser (TrainingOptimizer.replaceMasks).
   *
   * @throws UserError when a fixed or nested mask has a single dimension left
   */
  double(): void {
    const { kind, embeddingDim, numLearners } = this;
    if (kind !== 'learned' && 2 * numLearners > embeddingDim) {
      throw new UserError(
        `${kind} masks cannot be split among ${2 * numLearners} learners: the embedding has ${embeddingDim} dimensions only`,
      );
    }
    const parents = this.masks;
    this.masks = noGrad(() =>
      parents.flatMap((mask, i) =>
        kind === 'nested'
          ? [2 * i, 2 * i + 1].map((k) => this.own(this.nested(k, 2 * numLearners, mask)))
          : kind === 'fixed'
            ? halves(mask).map((half) => this.own(half))
            : [this.own(mask.clone()), this.own(mask.clone())],
      ),
    );
    for (const mask of parents) mask.dispose();
  }

  /**
   * Halves the learners, the reverse of double(): learners 2i and 2i + 1 become i. A learned mask is the mean of the
   * two, a fixed one has the ones of both, a nested one those of so many learners. The old tensors are disposed.
   *
   * @throws UserError when there is one learner only
   */
  halve(): void {
    if (this.numLearners === 1) throw new UserError('one learner cannot be halved');
    const children = this.masks;
    this.masks = noGrad(() =>
      Array.from({ length: children.length / 2 }, (_, i) =>
        scope(() => {
          const first = children[2 * i] as Tensor;
          if (this.kind === 'nested') return this.own(this.nested(i, children.length / 2, first));
          const sum = first.add(children[2 * i + 1] as Tensor);
          return this.own(this.kind === 'fixed' ? sum : sum.div(2));
        }),
      ),
    );
    for (const mask of children) mask.dispose();
  }

  /** Of learner `k` of so many: ones on the first share of k + 1, on the device of `like`. */
  private nested(k: number, learners: number, { dtype, device }: Tensor): Tensor {
    const { embeddingDim } = this;
    const ones = Math.round(((k + 1) * embeddingDim) / learners);
    return tensor(
      Float64Array.from({ length: embeddingDim }, (_, d) => Number(d < ones)),
      { dtype, device },
    );
  }

  private own(mask: Tensor): Tensor {
    return this.kind === 'learned' ? nn.parameter(mask) : nn.buffer(mask);
  }
}

/** The mask's first floor(n / 2) ones, and the others. */
function halves(mask: Tensor): [Tensor, Tensor] {
  const values = mask.toNumbers();
  const dimensions = Array.from(values.keys()).filter((d) => values[d] !== 0);
  if (dimensions.length < 2)
    throw new UserError('a fixed mask of a single dimension cannot be split further');
  const first = new Float64Array(values.length);
  const second = Float64Array.from(values);
  for (const d of dimensions.slice(0, Math.floor(dimensions.length / 2))) {
    first[d] = values[d] as number;
    second[d] = 0;
  }
  const { dtype, device } = mask;
  return [tensor(first, { dtype, device }), tensor(second, { dtype, device })];
}

/** @throws UserError if there cannot be so many learners */
export function requirePowerOfTwo(numLearners: number): void {
  if (!Number.isInteger(Math.log2(numLearners)) || numLearners < 1) {
    throw new UserError(`learners double, so their number must be a power of two: got ${numLearners}`);
  }
}
