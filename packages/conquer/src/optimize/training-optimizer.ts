import { aten, noGrad, type optim, scope, stack, type Tensor, zeros } from '@conquer-dml/torch';
import { z } from 'zod';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { buildNamed } from '../named-part.js';
import { withDefaults } from '../part.js';
import { clipGradients } from './clip-gradients.js';
import { backboneGroups, layerDecayInWords } from './layer-decay.js';
import type { Algorithm } from './optimizer.js';
import { type NamedOptimizer, optimizers } from './optimizers.js';
import { type GroupOptions, isOfVectors, partGroups, partOf, type TrainedPart } from './parameter-groups.js';
import { untrainedParameters } from './untrained-parameters.js';

/** How fast what is trained learns, and how much of it decays. */
export const trainingOptimizerOptions = z.strictObject({
  embeddingLearningRateMultiplier: z
    .number()
    .min(0)
    .default(1)
    .describe('learning rate of the embedding, times learningRate'),
  maskLearningRateMultiplier: z
    .number()
    .min(0)
    .default(100)
    .describe('learning rate of learned masks, times learningRate'),
  lossLearningRate: z
    .number()
    .min(0)
    .default(0)
    .describe("learning rate of the loss's own parameters (beta, class weights); 0 keeps them as they are"),
  weightDecay: z.number().min(0).default(1e-4).describe('weight decay of backbone and embedding'),
  maskWeightDecayMultiplier: z
    .number()
    .min(0)
    .default(1)
    .describe('weight decay of learned masks, times weightDecay'),
  decayVectors: z
    .boolean()
    .default(true)
    .describe('weight decay of parameters of one dimension too: biases, weights of BatchNorm'),
  layerDecay: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe(
      "learning rate of each layer of the backbone, times that of the layer above it; the top's is learningRate",
    ),
  clipNorm: z
    .number()
    .gt(0)
    .nullable()
    .default(null)
    .describe('norm of all gradients together, above which they are scaled down to it; null: they are not'),
});
const allOptions = trainingOptimizerOptions.extend({
  learningRate: z.number().min(0).describe('of backbone and embedding'),
});

export interface OptimizerOptions extends z.input<typeof allOptions> {
  /** By name, such as `{ name: 'sgd', momentum: 0.8 }`, or what an optimiser's part builds; default `{ name: 'adam' }`. */
  algorithm?: Algorithm | NamedOptimizer | undefined;
  /** Told in a line what of the loss stays as it was drawn; by default process.emitWarning(). */
  onWarning?: ((message: string) => void) | undefined;
  /** Told in a line how the learning rate falls with the depth, where it does, and which number of the loss stays as it is. */
  onNote?: ((text: string) => void) | undefined;
}

/** What a checkpoint keeps: `tensors` for a tensor file, the rest is plain JSON. */
export interface TrainingOptimizerState extends optim.OptimizerState<GroupOptions> {
  factor: number;
  frozen: TrainedPart[];
}

/**
 * An optimiser over backbone, embedding, the loss's parameters and the learners' masks.
 *
 * A part's learning rate is its own times the schedule's factor, and 0 while it is frozen. As in dcesml a frozen
 * part is not left out: its moments follow the gradients meanwhile (and BatchNorm's running statistics the images), so
 * it starts again with fresh moments.
 */
export class TrainingOptimizer {
  private readonly inner: optim.Optimizer<GroupOptions>;
  private readonly learningRates: Record<TrainedPart, number>;
  private readonly factorsByGroup: ReadonlyMap<string, number>;
  private readonly clipNorm: number | null;
  private readonly maskWeightDecay: number;
  private readonly onWarning: (message: string) => void;
  private readonly onNote: (text: string) => void;
  private readonly warnedOf = new WeakSet<Loss>();
  private readonly frozen = new Set<TrainedPart>();
  private factor = 1;

  /**
   * The parameters stay the model's and the loss's; those of a loss without a learning rate stop taking
   * gradients, with a warning.
   * @throws OptionError for an unknown option, or one out of its range
   */
  constructor(
    private readonly model: EmbeddingModel,
    loss: Loss,
    { algorithm = { name: 'adam' }, onWarning, onNote, ...given }: OptimizerOptions,
  ) {
    const options = withDefaults('TrainingOptimizer', allOptions, given);
    const { learningRate, weightDecay, decayVectors } = options;
    this.clipNorm = options.clipNorm;
    this.maskWeightDecay = weightDecay * options.maskWeightDecayMultiplier;
    this.onWarning = onWarning ?? ((message) => process.emitWarning(message));
    this.onNote = onNote ?? (() => {});
    this.learningRates = {
      backbone: learningRate,
      embedding: learningRate * options.embeddingLearningRateMultiplier,
      loss: options.lossLearningRate,
      masks: learningRate * options.maskLearningRateMultiplier,
    };

    const ofBackbone = backboneGroups(model.backbone, options);
    this.factorsByGroup = ofBackbone.factors;
    const byDepth = layerDecayInWords(learningRate, ofBackbone);
    if (byDepth !== null) this.onNote(byDepth);
    const decays = ({ ndim }: Tensor) => decayVectors || ndim >= 2;
    const groups = [
      ...ofBackbone.groups,
      ...partGroups('embedding', model.parameterGroups().embedding, weightDecay, decays),
    ];
    const lossParameters = loss.parameters();
    if (this.learningRates.loss > 0) groups.push(...partGroups('loss', lossParameters, 0, () => true));
    // Without a learning rate they are constants; else their gradients would pile up, step after step.
    else for (const parameter of lossParameters) parameter.requiresGrad_(false);

    const make =
      typeof algorithm === 'function' ? algorithm : buildNamed(optimizers, algorithm, null, 'algorithm');
    this.inner = make(groups);
    this.addMasks();
    this.apply();
    this.warnOfUntrained(loss);
  }

  /**
   * Says once of a loss which of its parameters this optimiser does not train, as it was not given them or with a
   * learning rate of 0.
   */
  warnOfUntrained(loss: Loss): void {
    const ofLosses = this.inner.groups.filter(({ name }) => partOf(name) === 'loss');
    const trained = new Set(ofLosses.flatMap(({ params }) => params));
    const untrained = untrainedParameters(loss, trained, this.learningRates.loss);
    if (untrained === null || this.warnedOf.has(loss)) return;
    this.warnedOf.add(loss);
    if (untrained.constant) this.onNote(untrained.text);
    else this.onWarning(untrained.text);
  }

  /** Updates every parameter that has a gradient, of which the norm is cut to `clipNorm`. */
  step(): void {
    if (this.clipNorm !== null) scope(() => clipGradients(this.gradients(), this.clipNorm!));
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
        const gradients = this.gradients();
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
  freeze(part: TrainedPart, frozen = true): void {
    if (frozen) this.frozen.add(part);
    else this.frozen.delete(part);
    this.apply();
  }

  /** The learning rates as they are now, of the parts that are trained; of the backbone that of its uppermost layer. */
  currentLearningRates(): Partial<Record<TrainedPart, number>> {
    return Object.fromEntries(
      this.inner.groups.filter(({ name }) => !isOfVectors(name)).map(({ name, lr }) => [partOf(name), lr]),
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

  private gradients(): Tensor[] {
    return this.inner.groups.flatMap(({ params }) => params.flatMap(({ grad }) => grad ?? []));
  }

  private addMasks(): void {
    const { masks } = this.model.parameterGroups();
    if (masks.length === 0) return;
    this.inner.addGroup({ name: 'masks', params: masks, weightDecay: this.maskWeightDecay });
  }

  private apply(): void {
    for (const group of this.inner.groups) {
      const part = partOf(group.name);
      const rate = this.learningRates[part] * (this.factorsByGroup.get(group.name) ?? 1);
      group.lr = this.frozen.has(part) ? 0 : rate * this.factor;
    }
  }
}
