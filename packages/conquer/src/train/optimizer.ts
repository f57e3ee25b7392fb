import { UserError } from '@conquer/run';
import { aten, noGrad, optim, scope, stack, type Tensor, zeros } from '@conquer/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';

export interface OptimizerOptions {
  /** Adam (default) adds the weight decay to the gradient, AdamW shrinks the weights directly. */
  algorithm?: 'adam' | 'adamw';
  /** Of backbone and embedding, unless they have their own. */
  learningRate: number;
  /** Default `learningRate`. */
  backboneLearningRate?: number;
  /** Default `learningRate`. */
  embeddingLearningRate?: number;
  /** Of the loss's own parameters; 0 (default) keeps them as they are, which is said in a warning. */
  lossLearningRate?: number;
  /** Of learned masks; default `learningRate`. */
  maskLearningRate?: number;
  /**
   * λ of backbone and embedding, unless the embedding has its own; default 0. The loss's parameters have
   * none.
   */
  weightDecay?: number;
  /** Default `weightDecay`. */
  embeddingWeightDecay?: number;
  /** Of learned masks; default 0. */
  maskWeightDecay?: number;
  /**
   * Whether weight decay also applies to parameters of one dimension: biases, BatchNorm's weights. Default
   * true.
   */
  decayVectors?: boolean;
  /**
   * How much of the running means of the gradient and of its square stays at each step; default [0.9, 0.999].
   */
  betas?: [number, number];
  /** Added to the root of the second moment; default 1e-8. */
  eps?: number;
  /** Told in a line what of the loss will not be trained; by default process.emitWarning(). */
  onWarning?: (message: string) => void;
}

/** All of its options. */
const optionNames: OptionNames<OptimizerOptions> = {
  algorithm: true,
  learningRate: true,
  backboneLearningRate: true,
  embeddingLearningRate: true,
  lossLearningRate: true,
  maskLearningRate: true,
  weightDecay: true,
  embeddingWeightDecay: true,
  maskWeightDecay: true,
  decayVectors: true,
  betas: true,
  eps: true,
  onWarning: true,
};

/** The parts of what is trained, each with its own learning rate. */
export type Part = 'backbone' | 'embedding' | 'loss' | 'masks';

/** What a checkpoint keeps: `tensors` for a tensor file, the rest is plain JSON. */
export interface TrainingOptimizerState extends optim.OptimizerState<optim.AdamOptions> {
  factor: number;
  frozen: Part[];
}

/** Suffix of the group that holds a part's vectors where these have no weight decay. */
const vectorSuffix = '.vectors';

/**
 * Adam or AdamW over backbone, embedding, the loss's parameters and the learners' masks.
 *
 * A part's learning rate is its own times the schedule's factor, and 0 while it is frozen. As in dcesml a frozen
 * part is not left out: its Adam moments follow the gradients meanwhile (and BatchNorm's running statistics the
 * images), so it starts again with fresh moments.
 */
export class TrainingOptimizer {
  private readonly inner: optim.Adam | optim.AdamW;
  private readonly learningRates: Record<Part, number>;
  private readonly maskWeightDecay: number;
  private readonly onWarning: (message: string) => void;
  private readonly warnedOf = new WeakSet<Loss>();
  private readonly frozen = new Set<Part>();
  private factor = 1;

  /**
   * The parameters stay the model's and the loss's; those of a loss without a learning rate stop taking
   * gradients, with a warning.
   * @throws UserError for a negative learning rate or weight decay
   * @throws RangeError for betas or eps out of their ranges
   */
  constructor(
    private readonly model: EmbeddingModel,
    loss: Loss,
    options: OptimizerOptions,
  ) {
    refuseUnknownOptions('TrainingOptimizer', options, optionNames);
    const { learningRate, weightDecay = 0, decayVectors = true, betas, eps } = options;
    const embeddingWeightDecay = options.embeddingWeightDecay ?? weightDecay;
    this.maskWeightDecay = options.maskWeightDecay ?? 0;
    this.onWarning = options.onWarning ?? ((message) => process.emitWarning(message));
    this.learningRates = {
      backbone: options.backboneLearningRate ?? learningRate,
      embedding: options.embeddingLearningRate ?? learningRate,
      loss: options.lossLearningRate ?? 0,
      masks: options.maskLearningRate ?? learningRate,
    };
    const decays = { weightDecay, embeddingWeightDecay, maskWeightDecay: this.maskWeightDecay };
    for (const [name, value] of Object.entries({ ...this.learningRates, ...decays })) {
      if (!(value >= 0 && Number.isFinite(value))) {
        const what = name in decays ? name : `learning rate of ${name}`;
        throw new UserError(`${what}: expected 0 or a positive number, got ${value}`);
      }
    }

    const { backbone, embedding } = model.parameterGroups();
    const groups = [
      ...partGroups('backbone', backbone, weightDecay, decayVectors),
      ...partGroups('embedding', embedding, embeddingWeightDecay, decayVectors),
    ];
    const lossParameters = loss.parameters();
    if (this.learningRates.loss > 0) groups.push(...partGroups('loss', lossParameters, 0, true));
    // Without a learning rate they are constants; else their gradients would pile up, step after step.
    else for (const parameter of lossParameters) parameter.requiresGrad_(false);

    const Algorithm = options.algorithm === 'adamw' ? optim.AdamW : optim.Adam;
    this.inner = new Algorithm(groups, { lr: learningRate, weightDecay: 0, betas, eps });
    this.addMasks();
    this.apply();
    this.warnOfUntrained(loss);
  }

  /**
   * Says once of a loss which of its parameters this optimiser does not train, as it was not given them or with a
   * learning rate of 0: a loss computed from proxies that stay as drawn looks like any other.
   */
  warnOfUntrained(loss: Loss): void {
    const trained = new Set(
      this.inner.groups.flatMap(({ name, params }) => (name.startsWith('loss') ? params : [])),
    );
    const untrained = [...loss.namedParameters()].filter(([, parameter]) => !trained.has(parameter));
    if (untrained.length === 0 || this.warnedOf.has(loss)) return;
    this.warnedOf.add(loss);
    const stay = untrained.map(([name, parameter]) =>
      parameter.numel() === 1
        ? `${name} stays at ${Number(parameter.item().toPrecision(6))}`
        : `${name} [${parameter.shape}] stays as drawn`,
    );
    const why =
      trained.size > 0 || this.learningRates.loss > 0
        ? 'the optimiser was not given it'
        : "the learning rate of the loss's own parameters is 0";
    this.onWarning(`${loss.constructor.name}: ${stay.join(', ')}, as ${why}`);
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    this.inner.step();
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    this.inner.zeroGrad();
  }

  /** The sum of the gradients' norms, (): finite only if every gradient is. It belongs to the caller. */
  gradientNorm(): Tensor {
    return scope(() =>
      noGrad(() => {
        const gradients = this.inner.groups.flatMap(({ params }) => params.flatMap(({ grad }) => grad ?? []));
        if (gradients.length === 0) return zeros([]);
        return stack(aten._foreach_norm$Scalar(gradients).map((norm) => norm.to('float32'))).sum();
      }),
    );
  }

  /** Multiplies every learning rate, from now on: the value of the schedule. */
  setFactor(factor: number): void {
    this.factor = factor;
    this.apply();
  }

  /** Sets a part's learning rate to 0, or back. */
  freeze(part: Part, frozen = true): void {
    if (frozen) this.frozen.add(part);
    else this.frozen.delete(part);
    this.apply();
  }

  /** The learning rates as they are now, of the parts that are trained. */
  currentLearningRates(): Partial<Record<Part, number>> {
    return Object.fromEntries(
      this.inner.groups.filter(({ name }) => !name.endsWith(vectorSuffix)).map(({ name, lr }) => [name, lr]),
    );
  }

  /** After the learners have doubled: takes the model's new masks for the old ones. Their moments start afresh. */
  replaceMasks(): void {
    this.removeMasks();
    this.addMasks();
    this.apply();
  }

  /** For the phase that trains the whole embedding: the masks are no longer trained. */
  removeMasks(): void {
    if (this.inner.groups.some(({ name }) => name === 'masks')) this.inner.removeGroup('masks');
  }

  /** References to the state, not copies. */
  stateDict(): TrainingOptimizerState {
    return { ...this.inner.stateDict(), factor: this.factor, frozen: [...this.frozen] };
  }

  /**
   * Continues from a saved state, whose tensors are copied. The model must have as many learners as then, and
   * the masks must be removed if they were.
   * @throws Error that says what does not fit; then nothing was loaded
   */
  loadStateDict({ factor, frozen, ...state }: TrainingOptimizerState): void {
    this.inner.loadStateDict(state);
    this.frozen.clear();
    for (const part of frozen) this.frozen.add(part);
    this.factor = factor;
    this.apply();
  }

  /** Frees the moments; the parameters stay. */
  dispose(): void {
    this.inner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private addMasks(): void {
    const { masks } = this.model.parameterGroups();
    if (masks.length === 0) return;
    this.inner.addGroup({ name: 'masks', params: masks, weightDecay: this.maskWeightDecay });
  }

  private apply(): void {
    for (const group of this.inner.groups) {
      const part = group.name.replace(vectorSuffix, '') as Part;
      group.lr = this.frozen.has(part) ? 0 : this.learningRates[part] * this.factor;
    }
  }
}

/** A part's group; two where its vectors have no weight decay. */
function partGroups(
  name: Part,
  params: readonly Tensor[],
  weightDecay: number,
  decayVectors: boolean,
): { name: string; params: Tensor[]; weightDecay: number }[] {
  const vectors = decayVectors ? [] : params.filter(({ ndim }) => ndim < 2);
  const rest = params.filter((parameter) => !vectors.includes(parameter));
  const groups = [
    { name, params: rest, weightDecay } as { name: string; params: Tensor[]; weightDecay: number },
  ];
  if (vectors.length > 0) groups.push({ name: `${name}${vectorSuffix}`, params: vectors, weightDecay: 0 });
  return groups;
}
