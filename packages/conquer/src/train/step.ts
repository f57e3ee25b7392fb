import { F, noGrad, scope, stack, type Tensor } from '@conquer-dml/torch';
import type { Loss } from '../losses/loss.js';
import { maskOrthogonality } from '../losses/mask-orthogonality.js';
import type { Miner } from '../miners/miner.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { ModelAverage } from '../optimize/model-average.js';
import type { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { labelled } from '../rows.js';
import { asPairs, asTuples, countOf, type Mined } from '../tuples.js';
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
  /** Told where the time of each step goes. */
  profile?: Profile | undefined;
}

export interface StepInput {
  /** (B, 3, H, W), as the model's backbone expects them; they stay the caller's. */
  images: Tensor;
  /** (B,), the class of each image. */
  labels: Int32Array;
  /** The learner whose cluster the batch is from; not used with `fullEmbedding`. */
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
  /** Why nothing was learnt from this batch, or null. */
  skipped: string | null;
}

/** The loss or a gradient is NaN or infinite. The weights have not been changed; BatchNorm's statistics have. */
export class NotFiniteError extends Error {
  override readonly name = 'NotFiniteError';
}

/** One step of training: what it does to a batch, with the parts it does it with. */
export class TrainingStep {
  /** @throws RangeError when the loss takes tuples and there is no miner to give them */
  constructor(private readonly parts: TrainingStepParts) {
    if (parts.loss.usesTuples && parts.miner === null) {
      throw new RangeError('this loss takes tuples, so it needs a miner: got null');
    }
    parts.optimizer.warnOfUntrained(parts.loss);
  }

  /** null for a loss on the whole batch. */
  get miner(): Miner | null {
    return this.parts.miner;
  }

  /**
   * Metric loss of the learner's embeddings + lambda * similarity of the masks, backward, and a step of the
   * optimiser. A batch that the loss or the miner can make nothing of is skipped: nothing is
   * learnt from it, and the result says why.
   *
   * @throws NotFiniteError when the loss or a gradient is not finite; then the weights have not been changed
   */
  run({ images, labels, learner, fullEmbedding }: StepInput): StepResult {
    const { model, loss, miner, optimizer, average, maskLambda, profile } = this.parts;
    const batch = labelled(labels);
    if (!loss.hasEnough(batch, batch))
      return skip('its classes do not give the loss anything to compare', null);
    return scope(() => {
      // As they are before they have length 1 too, for a loss that asks for them.
      const raw = model.embedUnscaled(images, { learner: fullEmbedding ? null : learner });
      const embeddings = F.normalize(raw);
      profile?.lap('forward', embeddings);

      let mined: Mined | null = null;
      if (loss.usesTuples && miner !== null) {
        // The miner reads the distances anyway, and can make nothing of NaN.
        if (!Number.isFinite(embeddings.detach().sum().item()))
          throw new NotFiniteError('the embeddings are not finite');
        const rows = { ...batch, embeddings: embeddings.detach() };
        const found = noGrad(() => miner.mine(rows, rows));
        mined = { pairs: asPairs, tuples: asTuples, either: (all: Mined) => all }[loss.takes](found);
        profile?.lap('mining');
        const what = loss.takes === 'tuples' ? 'tuple' : 'pair';
        if (countOf(mined) === 0) return skip(`the miner found no valid ${what} in the batch`, 0);
      }
      const numTuples = mined === null ? null : countOf(mined);

      const rows = { ...batch, embeddings, raw };
      const metricLoss = loss.forward(rows, rows, mined);
      const similarity = () => maskOrthogonality(model.learnerMasks.stacked()).mul(maskLambda);
      const maskLoss = fullEmbedding ? noGrad(similarity) : similarity();
      const total = fullEmbedding ? metricLoss : metricLoss.add(maskLoss);
      profile?.lap('loss', total);

      optimizer.zeroGrad();
      total.backward();
      profile?.lap('backward', total);
      // One read for all numbers: on a GPU every read waits for all work before it.
      const numbers = stack([metricLoss.detach(), maskLoss.detach(), optimizer.gradientNorm()]).toNumbers();
      const [metric = Number.NaN, mask = Number.NaN, gradient = Number.NaN] = numbers;
      if (![metric, mask, gradient].every(Number.isFinite)) {
        const mean = `metric loss ${metric}, mask loss ${mask}, gradient ${gradient}`;
        throw new NotFiniteError(`the loss or its gradient is not finite (${mean})`);
      }
      optimizer.step();
      average?.update();
      profile?.lap('optimizer', total);
      return { metricLoss: metric, maskLoss: mask, numTuples, skipped: null };
    });
  }
}

function skip(reason: string, numTuples: number | null): StepResult {
  return { metricLoss: null, maskLoss: null, numTuples, skipped: reason };
}
