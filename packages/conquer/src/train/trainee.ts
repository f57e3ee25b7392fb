import { UserError } from '@conquer-dml/run';
import { Generator } from '@conquer-dml/torch';
import type { Dataset } from '../datasets/dataset.js';
import {
  buildAverage,
  buildLoss,
  buildMiner,
  buildModel,
  buildNetwork,
  buildOptimizer,
} from '../experiment/build.js';
import { buildLargeBatches, type LargeBatches } from '../experiment/build-large-batches.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment } from '../experiment/experiment.js';
import type { Loss } from '../losses/loss.js';
import type { Miner } from '../miners/miner.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { ModelAverage } from '../optimize/model-average.js';
import type { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { OptionError } from '../option-error.js';
import { Random } from '../random.js';

/** What learns, and what teaches it, with what they draw from. Disposing it frees them, but for a loss of one's own. */
export class Trainee {
  private constructor(
    readonly model: EmbeddingModel,
    readonly loss: Loss,
    readonly optimizer: TrainingOptimizer,
    /** Of the model's weights; null where they are the model themselves. */
    readonly average: ModelAverage | null,
    /** null where the loss reads the whole batch. */
    readonly miner: Miner | null,
    readonly largeBatches: LargeBatches,
    /** Draws batches, augmentation and tuples. */
    readonly random: Random,
    readonly dropoutGenerator: Generator,
    private readonly isOwnLoss: boolean,
  ) {}

  /**
   * Draws all weights from the experiment's seed.
   *
   * @param goesOn the weights come from a checkpoint: those that the experiment starts with are not read
   * @throws OptionError for options that cannot be; nothing is left behind
   */
  static async build(
    experiment: Experiment,
    dataset: Dataset,
    { builder, goesOn }: { builder: Builder; goesOn: boolean },
  ): Promise<Trainee> {
    const { seed, device } = experiment.train;
    const generator = new Generator(seed);
    const dropoutGenerator = new Generator(seed, device);
    const random = new Random(seed);
    const isOwnLoss = builder.own?.loss !== undefined;
    const built: { dispose(): void }[] = [];
    try {
      const generators = { generator, dropoutGenerator };
      const build = goesOn ? buildNetwork : buildModel;
      const model = await build(experiment, generators, builder);
      built.push(model);
      const loss = buildLoss(experiment, dataset.train.classNames.length, generator, builder);
      if (!isOwnLoss) built.push(loss);
      if (dataset.train.pairs && !loss.takesKnownPairs)
        throw new OptionError(
          'loss',
          'the loss needs classes, and the data set has pairs in their place: expected a loss such as contrastive, margin or pair-contrastive (docs/losses.md lists them)',
        );
      if (dataset.train.labelSets && !loss.usesTuples && !loss.takesSeveralLabels)
        throw new UserError(
          'the loss takes one label an image, and images of this data set have several: docs/datasets.md lists the losses that take them',
        );
      const miner = buildMiner(experiment, loss, random, builder);
      const optimizer = buildOptimizer(experiment, model, loss, builder);
      built.push(optimizer);
      const largeBatches = buildLargeBatches(experiment, model, loss, dropoutGenerator);
      built.push(largeBatches);
      const average = buildAverage(experiment, model);
      return new Trainee(
        model,
        loss,
        optimizer,
        average,
        miner,
        largeBatches,
        random,
        dropoutGenerator,
        isOwnLoss,
      );
    } catch (error) {
      for (const part of built) part.dispose();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.average?.dispose();
    this.largeBatches.dispose();
    this.optimizer.dispose();
    if (!this.isOwnLoss) this.loss.dispose();
    this.model.dispose();
  }
}
