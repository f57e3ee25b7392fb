import { type Division, type EpochRecord, StepLog, UserError } from '@conquer-dml/run';
import { imageSizeAt } from '../data/growing-size.js';
import { undivided } from '../divide/division.js';
import { interleavedLength, interleaveLearners, type LearnerBatches } from '../divide/interleave.js';
import type { ScheduledEpoch } from '../divide/schedule.js';
import { hasBothKinds } from '../divide/trainable.js';
import { KnownPairs } from '../image-pairs.js';
import { Interrupted } from '../interrupted.js';
import type { EpochPosition } from './checkpoint.js';
import { NotFiniteGuard } from './not-finite.js';
import type { Session } from './session.js';
import type { StepResult } from './step.js';

/** What the steps of an epoch came to. */
export type TrainedEpoch = Required<
  Pick<
    EpochRecord,
    'metricLoss' | 'maskLoss' | 'steps' | 'skipped' | 'zeroLoss' | 'images' | 'differentImages'
  >
> &
  Pick<EpochRecord, 'learningRates' | 'anchorsWithoutTuples'> & { seconds: EpochRecord['seconds'] };

/**
 * The steps of one epoch: each learner trains on its cluster, in turn; the whole embedding on the whole training set. It
 * can be left after any step, and entered there again: its batches, and what augments them, are drawn from the state that
 * the run's Random had before the first.
 */
export class Epoch {
  private readonly position: EpochPosition;
  private readonly learners: readonly LearnerBatches[];
  /** What is known of the training images' pairs, where they have no classes. */
  private readonly pairs: KnownPairs | undefined;
  readonly steps: number;

  /** @param took seconds of what the epoch did before its steps */
  constructor(
    private readonly session: Session,
    private readonly epoch: number,
    private readonly plan: ScheduledEpoch,
    took: { divide?: number },
  ) {
    const { experiment, data, random, sampler, difficulty, group } = session.parts;
    // Machines of other kinds may draw otherwise.
    random.setState(group.broadcastObject(() => random.getState()));
    const begun = session.position;
    if (begun === null) difficulty?.startEpoch();
    // Earlier versions did not count all of it.
    const counted = { zeroLoss: 0, mined: 0, withoutTuples: 0 };
    this.position = begun
      ? { ...begun, sums: { ...counted, ...begun.sums } }
      : {
          epoch,
          step: 0,
          drawnFrom: random.getState(),
          sums: {
            metricLoss: 0,
            maskLoss: 0,
            trained: 0,
            skipped: 0,
            images: 0,
            ...counted,
          },
          took: { train: 0, ...took },
        };
    const pairs = data.pairs?.train;
    this.pairs = pairs && new KnownPairs(pairs, data.trainLabels.length);
    // As in the authors' code, whose learners keep their clusters in the full-embedding phase.
    const everything = plan.fullEmbedding && experiment.compat !== 'dcesml';
    const { division } = session;
    this.learners = everything
      ? [sampler(positionsOf(undivided(data.trainLabels, epoch, pairs), 0), data.trainLabels, random)]
      : Array.from({ length: division.numClusters }, (_, k) => this.learnerBatches(division, k));
    this.steps = interleavedLength(this.learners);
    if (this.steps === 0) {
      const what = pairs ? 'pairs of both kinds' : 'two classes of two images';
      throw new UserError(`no cluster has ${what}: use fewer learners, or more data`);
    }
  }

  /** The batches of one learner; none when its cluster has fewer than two classes: nothing can be learnt there. */
  private learnerBatches(division: Division, cluster: number): LearnerBatches {
    const { sampler, data, random } = this.session.parts;
    const none = { length: 0, *[Symbol.iterator]() {} };
    const pairs = data.pairs?.train;
    if (pairs && !hasBothKinds(pairs, division.clusters, cluster)) return none;
    if (!pairs && (division.classCounts[cluster] ?? 0) < 2) return none;
    return sampler(positionsOf(division, cluster), data.trainLabels, random);
  }

  /** Trains the steps that are left. @throws Interrupted after the one in which the training was to end */
  async train(): Promise<TrainedEpoch> {
    const { session, epoch, plan, position, steps } = this;
    const { model, optimizer, data, run, learningRate, observer, profile, signal, step } = session.parts;
    const { difficulty, group, experiment } = session.parts;
    const { fullEmbedding } = plan;
    const stopClock = session.clock.start('train');
    const { batches, augmentation } = this.draw();
    const { numLearners } = model;
    observer.onEpochStart?.({ epoch, epochs: session.epochs, steps, numLearners, fullEmbedding });
    model.train();
    session.position = position;
    const log = new StepLog((record) => {
      run.appendSteps(record);
      observer.onSteps?.(record);
    });
    const guard = this.guard();
    profile?.start();
    const indices = batches.map((batch) => batch.indices);
    const shares = indices.map((whole) => this.shareOf(whole));
    const side = imageSizeAt(epoch, experiment.data, (each) => model.backbone.takesSide(each));
    for await (const batch of data.augmented(shares, augmentation, position.step, side)) {
      profile?.lap('data');
      const at = position.step;
      const { learner } = batches[at]!;
      const factor = learningRate(epoch + at / steps);
      if (factor !== null) optimizer.setFactor(factor);
      const { images } = batch;
      // Others may stand for images that cannot be read.
      const seen = group.gatherNumbers(batch.indices);
      const labels = group.size === 1 ? batch.labels : seen.map((image) => data.trainLabels[image]!);
      let result: StepResult;
      try {
        const sets = data.labelSets?.train;
        const labelSets = sets && Array.from(seen, (image) => sets[image]!);
        const imageIds = this.imageIds(seen);
        const input = { images, labels, labelSets, pairs: this.pairs, imageIds, learner, fullEmbedding };
        result = guard.run(at, input, seen);
        if (result.difficulties) difficulty?.observe(seen, result.difficulties);
      } finally {
        images.dispose();
      }
      this.count(labels.length, result);
      log.add({ epoch, step: at, steps, images: labels.length }, result);
      observer.onStep?.({ epoch, step: at, images: labels.length, learner, result });
      position.step++;
      if (position.step === steps) step.finish();
      // Batches from memory come as microtasks: without a turn of the event loop no signal would be heard.
      await new Promise((resolve) => setImmediate(resolve));
      profile?.endStep();
      // Gradients that wait for others are in no checkpoint.
      if (!step.isWaiting && group.any(signal?.aborted ?? false)) {
        log.end();
        position.took.train += stopClock();
        throw new Interrupted('stopped between two steps');
      }
    }
    const trained = { ...this.result(), differentImages: new Set(indices.flatMap((of) => [...of])).size };
    position.took.train += stopClock();
    return trained;
  }

  /** The epoch's batches, and what augments them: the same before its first step and in the middle of it. */
  private draw() {
    const { session, position } = this;
    const { random } = session.parts;
    const goesOnFrom = random.getState();
    random.setState(position.drawnFrom);
    const batches = [...interleaveLearners(this.learners)];
    // Augmentation has its own stream: it is drawn ahead of the steps, and the miner draws in between.
    // One for each process.
    let augmentation = random.fork();
    for (let rank = 0; rank < session.parts.group.rank; rank++) augmentation = augmentation.fork();
    if (session.position !== null) random.setState(goesOnFrom);
    return { batches, augmentation };
  }

  /** Of a batch the images that this process embeds. */
  private shareOf(batch: Int32Array): Int32Array {
    const { group } = this.session.parts;
    if (batch.length < group.size)
      throw new UserError(
        `data.batchSize: expected an image for each of ${group.size} processes at least, got a batch of ${batch.length}`,
      );
    const { from, count } = group.share(batch.length);
    return batch.subarray(from, from + count);
  }

  /**
   * Which image each row of a batch shows. One that a sampler repeats is no pair with itself, as it is in the authors'
   * code; replicas, which are asked for, are different images.
   */
  private imageIds(indices: Int32Array): Int32Array | undefined {
    const { experiment, data, memory } = this.session.parts;
    if (experiment.compat === 'dcesml' && !memory && !this.pairs) return undefined;
    const ofReplica = indices.length / experiment.data.replicas;
    return indices.map((image, row) => image + data.trainLabels.length * Math.floor(row / ofReplica));
  }

  private guard(): NotFiniteGuard {
    const { session, epoch, steps } = this;
    const { experiment, model, step, run, data } = session.parts;
    const { onNan } = experiment.train;
    const { trainPaths: paths } = data;
    return new NotFiniteGuard({ onNan, model, step, run, paths, epoch, steps, onWarning: session.warn });
  }

  private count(images: number, result: StepResult): void {
    const { skipped, metricLoss, maskLoss, anchorsWithoutTuples } = result;
    const { sums } = this.position;
    sums.images += images;
    if (anchorsWithoutTuples !== null) {
      sums.mined += images;
      sums.withoutTuples += anchorsWithoutTuples;
    }
    if (metricLoss === 0) sums.zeroLoss++;
    if (skipped === null) {
      sums.trained++;
      sums.metricLoss += metricLoss ?? 0;
      sums.maskLoss += maskLoss ?? 0;
    } else {
      sums.skipped++;
    }
  }

  private result(): Omit<TrainedEpoch, 'differentImages'> {
    const { epoch, steps, position } = this;
    const { metricLoss, maskLoss, trained, skipped, images, zeroLoss, mined, withoutTuples } = position.sums;
    if (trained === 0) {
      throw new UserError(
        `epoch ${epoch + 1}: expected tuples to learn from, and not one of ${steps} batches had any: look at the sampler and the miner's cutoffs`,
      );
    }
    return {
      metricLoss: metricLoss / trained,
      maskLoss: maskLoss / trained,
      steps,
      skipped,
      zeroLoss,
      ...(mined > 0 && { anchorsWithoutTuples: withoutTuples / mined }),
      images,
      learningRates: this.session.parts.optimizer.currentLearningRates(),
      seconds: position.took,
    };
  }
}

function positionsOf(division: Division, cluster: number): Int32Array {
  return Int32Array.from(division.clusters.keys()).filter((i) => division.clusters[i] === cluster);
}
