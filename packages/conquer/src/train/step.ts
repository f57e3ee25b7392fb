import { UserError } from '@conquer-dml/run';
import { F, noGrad, ProcessGroup, scope, stack, type Tensor } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { KnownPairs } from '../image-pairs.js';
import type { CrossBatchMemory, LossTerm } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import { maskOrthogonality } from '../losses/mask-orthogonality.js';
import type { Miner } from '../miners/miner.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { EmbedOptions } from '../models/embedding-network.js';
import { type BatchEmbedder, embedWhole } from '../optimize/batch-embedder.js';
import { GradientSum } from '../optimize/gradient-sum.js';
import type { ModelAverage } from '../optimize/model-average.js';
import type { MomentumEncoder } from '../optimize/momentum-encoder.js';
import type { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { type Labelled, labelled, type Rows } from '../rows.js';
import { difficultiesIn } from './image-difficulty.js';
import { nothingToCompare, type SumOfTerms, sumOfTerms } from './loss-terms.js';
import type { Profile } from './profile.js';

export interface TrainingStepParts {
  model: EmbeddingModel;
  loss: Loss;
  /** Chooses the tuples of a loss that takes any; null for a loss on the whole batch. */
  miner: Miner | null;
  /** Over the parameters of `model` and `loss`. */
  optimizer: TrainingOptimizer;
  /** Follows the weights of `model`, where there is one. */
  average?: ModelAverage | null | undefined;
  /** Weight of the masks' similarity, lambda. */
  maskLambda: number;
  /** How a batch goes through the network; by default at once. */
  embedder?: BatchEmbedder | null | undefined;
  /** What the loss sees of earlier batches, where it does. */
  memory?: CrossBatchMemory | null | undefined;
  /** Embeds what the memory keeps; by default it is kept as the batch was embedded. */
  encoder?: MomentumEncoder | null | undefined;
  /** Batches whose gradients make a step of the optimiser; default 1. */
  accumulate?: number | undefined;
  /** Whether a step's result says how difficult its images are; default false. */
  measuresDifficulty?: boolean | undefined;
  /** Processes that share each batch, with an `embedder` that does; default: this one. */
  group?: ProcessGroup | undefined;
  /** Told where the time of each step goes. */
  profile?: Profile | undefined;
}

export interface StepInput {
  /** (B, 3, H, W), as the model's backbone expects them; of several processes its share. They stay the caller's. */
  images: BatchImages;
  /** (B,), the class of each image. */
  labels: Int32Array;
  /** All classes of each image, where it may have several; not with a memory. */
  labelSets?: readonly Int32Array[] | undefined;
  /** What is known of pairs of images, by `imageIds`, in the place of classes. */
  pairs?: KnownPairs | undefined;
  /**
   * (B,), which image each is: two rows of one image are no pair, and a memory knows one that it has seen before. Default,
   * without a memory: each row an image of its own.
   */
  imageIds?: Int32Array | undefined;
  /** The learner whose cluster the batch is from; its mask is not used with `fullEmbedding`. */
  learner: number;
  /** Train the whole embedding, without the learner's mask; under the sum of all where the model has it. */
  fullEmbedding: boolean;
}

export interface StepResult {
  /** The value of the loss; null when the batch was skipped. */
  metricLoss: number | null;
  /** lambda times the masks' similarity; while the whole embedding trains it is measured only. null when skipped. */
  maskLoss: number | null;
  /** Tuples of the miner, or pairs for a loss of pairs; null for a loss without tuples, or a batch skipped before mining. */
  numTuples: number | null;
  /** Images of the batch that are the anchor of no tuple; null where `numTuples` is. */
  anchorsWithoutTuples: number | null;
  /** Why nothing was learnt from this batch, or null. */
  skipped: string | null;
  /** (B,), see difficultiesIn; where it was asked for, and something was learnt. */
  difficulties?: Float64Array | undefined;
}

/** The loss or a gradient is NaN or infinite. The weights have not been changed; BatchNorm's statistics have. */
export class NotFiniteError extends Error {
  override readonly name = 'NotFiniteError';
}

/** One step of training: what it does to a batch, with the parts it does it with. */
export class TrainingStep {
  private readonly accumulate: number;
  private readonly group: ProcessGroup;
  private readonly sum = new GradientSum();
  /** Since the optimiser's last step. */
  private batches = 0;

  /** @throws RangeError when the loss takes tuples and there is no miner to give them */
  constructor(private readonly parts: TrainingStepParts) {
    if (parts.loss.usesTuples && parts.miner === null) {
      throw new RangeError('this loss takes tuples, so it needs a miner: got null');
    }
    this.accumulate = parts.accumulate ?? 1;
    this.group = parts.group ?? ProcessGroup.alone();
    parts.optimizer.warnOfUntrained(parts.loss);
  }

  /** null for a loss on the whole batch. */
  get miner(): Miner | null {
    return this.parts.miner;
  }

  /** Whether gradients of batches wait for others, for a step of the optimiser in common. */
  get isWaiting(): boolean {
    return this.batches > 0;
  }

  /**
   * Metric loss of the learner's embeddings + lambda * similarity of the masks, backward, and a step of the
   * optimiser, or every `accumulate` batches one by the mean of their gradients. A batch that the loss or the miner can
   * make nothing of is skipped: nothing is learnt from it, and the result says why.
   *
   * @throws NotFiniteError when the loss or a gradient is not finite; then the batch has not changed the weights
   */
  run(input: StepInput): StepResult {
    this.batches++;
    try {
      const result = scope(() => this.train(input));
      this.parts.embedder?.finish?.();
      return result;
    } finally {
      if (this.batches >= this.accumulate) this.finish();
    }
  }

  /** Takes the optimiser's step of batches that still wait for others, as at the end of an epoch. */
  finish(): void {
    this.batches = 0;
    if (this.sum.count === 0) return;
    this.parts.optimizer.zeroGrad();
    this.sum.give();
    this.update();
  }

  private train({
    images,
    labels,
    labelSets,
    pairs,
    imageIds,
    learner,
    fullEmbedding,
  }: StepInput): StepResult {
    const { model, loss, miner, optimizer, maskLambda, memory, encoder, embedder, profile } = this.parts;
    const remembers = memory?.begin() ?? false;
    if (memory && labelSets)
      throw new UserError(
        'a memory keeps one label an image, and images of this data set have several: train without it',
      );
    const owners = {
      ...(remembers || imageIds ? withIds(labels, imageIds) : labelled(labels)),
      labelSets,
      pairs,
    };
    // What a memory holds may be enough where the batch is not, and so may this batch for later ones.
    if (!remembers && !loss.hasEnough(owners, owners)) return skip(nothingToCompare);
    // In front of the batch's own pass: it has the network in its hands, whose weights may not change until backward.
    const encoded = remembers && encoder ? this.group.allGather(encoder.embed(images)) : undefined;
    const embedded = embedder?.embed(images, labels.length) ?? embedWhole(model, images);
    const mask = { learner: fullEmbedding ? null : learner };
    // As they are before they have length 1 too, for a loss that asks for them.
    const raw = model.masked(embedded.rows, mask);
    const batch = { ...owners, embeddings: F.normalize(raw), raw };
    profile?.lap('forward', batch.embeddings);

    // The miner reads the distances anyway, and can make nothing of NaN; a memory would keep it.
    if ((loss.usesTuples || remembers) && !Number.isFinite(batch.embeddings.detach().sum().item()))
      throw new NotFiniteError('the embeddings are not finite');
    const difficulties = this.parts.measuresDifficulty ? difficultiesIn(batch) : undefined;
    const terms: LossTerm[] = remembers
      ? memory!.terms(batch, this.remember(learner, encoded ?? embedded.rows, owners, mask))
      : [{ reference: batch, weight: 1 }];
    const found = sumOfTerms(loss, miner, batch, terms, () => profile?.lap('mining'));
    if (found.value === null) return skip(found.skipped!, found);
    const similarity = () => maskOrthogonality(model.learnerMasks.stacked()).mul(maskLambda);
    const maskLoss = fullEmbedding ? noGrad(similarity) : similarity();
    const total = fullEmbedding ? found.value : found.value.add(maskLoss);
    profile?.lap('loss', total);

    optimizer.zeroGrad();
    embedded.backward(total);
    profile?.lap('backward', total);
    // One read for all numbers: on a GPU every read waits for all work before it.
    const values = [found.value.detach(), maskLoss.detach(), optimizer.gradientNorm()];
    const numbers = stack(values).toNumbers();
    const [metric = Number.NaN, similar = Number.NaN, gradient = Number.NaN] = numbers;
    if (![metric, similar, gradient].every(Number.isFinite)) {
      const mean = `metric loss ${metric}, mask loss ${similar}, gradient ${gradient}`;
      throw new NotFiniteError(`the loss or its gradient is not finite (${mean})`);
    }
    if (this.accumulate === 1) this.update();
    else this.sum.add([...model.parameters(), ...loss.parameters()]);
    profile?.lap('optimizer', total);
    const { numTuples, anchorsWithoutTuples } = found;
    const measured = difficulties && { difficulties };
    return {
      metricLoss: metric,
      maskLoss: similar,
      numTuples,
      anchorsWithoutTuples,
      skipped: null,
      ...measured,
    };
  }

  /** A step of the optimiser, and what follows the weights. */
  private update(): void {
    const { optimizer, average, encoder } = this.parts;
    optimizer.step();
    average?.update();
    encoder?.update();
  }

  /** Puts a batch into the memory. @returns what is there of the learner, as its mask has it now, without gradients */
  private remember(learner: number, rows: Tensor, owners: Labelled, mask: EmbedOptions): Rows {
    const { memory, model } = this.parts;
    return noGrad(() => {
      memory!.add(learner, rows, owners);
      const remembered = memory!.remembered(learner)!;
      const raw = model.masked(remembered.rows, mask);
      return { ...remembered.owners, pairs: owners.pairs, embeddings: F.normalize(raw), raw };
    });
  }
}

function withIds(labels: Int32Array, imageIds: Int32Array | undefined): Labelled {
  if (imageIds === undefined) throw new RangeError('a memory needs to know images again: expected imageIds');
  return { labels, imageIds };
}

function skip(
  skipped: string,
  { numTuples = null, anchorsWithoutTuples = null }: Partial<SumOfTerms> = {},
): StepResult {
  return { metricLoss: null, maskLoss: null, numTuples, anchorsWithoutTuples, skipped };
}
