import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DatasetRecord,
  datasetDifferences,
  type RunFolder,
  recordOfSplits,
  type StoredExperiment,
  UserError,
  valueAt,
} from '@conquer-dml/run';
import type { Checkpoint, CheckpointState } from './checkpoint.js';
import { type BuiltParts, experimentDifferences } from './differences.js';

/**
 * Refuses to go on with a run under other settings than it was trained with.
 *
 * @param run its folder, as it was given
 * @param before what the run or its checkpoint holds
 * @param built the loss and the miner of `now`
 * @throws UserError that says what differs and how to go on
 */
export function refuseOtherSettings(
  run: string,
  before: StoredExperiment,
  now: object,
  built: BuiltParts,
): void {
  const differences = experimentDifferences(before, now, built);
  if (differences.length === 0) return;
  throw new UserError(
    `${run} was trained with other settings (then → now), so that it cannot go on: ${differences.join('; ')}; restore these, or train a new run`,
  );
}

/**
 * Refuses to go on with a run as another experiment than it is.
 *
 * @param saved of the checkpoint that it goes on from; null where there is none yet
 * @param given what it would go on with; `record` of its data set
 * @throws UserError that says what differs
 */
export function refuseOtherExperiment(
  run: RunFolder,
  saved: CheckpointState | null,
  given: {
    experiment: object;
    built: BuiltParts;
    record: DatasetRecord;
    warn: (text: string) => void;
  },
): void {
  const { experiment, built, record, warn } = given;
  // config.json may have been edited since; the checkpoint says what was trained.
  for (const before of [run.experiment(), ...(saved ? [saved.experiment] : [])])
    refuseOtherSettings(run.path, before, experiment, built);
  refuseOtherData(run, saved?.dataset, record, warn);
}

/**
 * Refuses to go on with a run, or to evaluate it, on another data set than it was trained on; of a run of before data
 * sets were recorded, on other test images than it had.
 *
 * @param sha256 as the checkpoint has it; undefined in older ones
 * @param warn told where the training images cannot be compared
 * @throws UserError that says which images and classes came, went or moved
 */
export function refuseOtherData(
  run: RunFolder,
  sha256: string | undefined,
  now: DatasetRecord,
  warn: (text: string) => void,
): void {
  if (refuseOtherDataset(run.path, { record: run.dataset(), sha256 }, now)) return;
  if (existsSync(run.testImagesFile)) {
    const { queries, gallery } = run.testImages();
    const before = recordOfSplits({ test: queries, ...(gallery && { gallery }) });
    const { train: _, validation: __, ...tested } = now.splits;
    const absolute = Object.entries(tested).flatMap(([name, split]) => {
      const paths = split.paths.map((path) => join(now.folder, path));
      return name in before.splits ? [[name, { ...split, paths }] as const] : [];
    });
    refuseOtherDataset(run.path, { record: before }, recordOfSplits(Object.fromEntries(absolute)));
  }
  warn(
    'the run is of an older version, which did not record its data set: whether the training images and classes are still the same cannot be checked',
  );
}

/**
 * Refuses a course of the learning rates that is not the one of the epochs that are trained: one that was made for
 * another number of epochs would jump.
 *
 * @param learningRate of the backbone, before the factor
 * @throws UserError that names the first epoch that differs
 */
export function refuseOtherLearningRates(
  run: RunFolder,
  learningRate: number,
  factor: (epoch: number) => number | null,
): void {
  for (const { epoch, steps, learningRates, backboneFrozen } of run.epochs()) {
    const then = learningRates?.backbone;
    const now = steps ? factor(epoch + (steps - 1) / steps) : null;
    if (then === undefined || now === null || backboneFrozen) continue;
    if (Math.abs(then - now * learningRate) <= 1e-6 * Math.max(then, now * learningRate)) continue;
    throw new UserError(
      `${run.path} was trained with other learning rates: epoch ${epoch + 1} ended at ${then}, learningRateFactor would have it end at ${now * learningRate}; give the factor of the epochs that are trained (made for ${valueAt(run.experiment(), 'train.epochs')} epochs), and after them what the added ones are to have, or null to hold the last`,
    );
  }
}

/** Refuses a checkpoint that divides another number of training images. */
export function refuseOtherLength({ clusters }: Checkpoint, images: number): void {
  if (clusters.length === images) return;
  throw new UserError(
    `the run was trained on ${clusters.length} images, and the data set has ${images}: bring it back as it was, or train a new run`,
  );
}

/** What a run knows of the data set that it was trained on. */
export interface KnownDataset {
  /** dataset.json; null where it is not there. */
  record: DatasetRecord | null;
  /** The hash that the checkpoint has; not there in older ones, or where there is no checkpoint. */
  sha256?: string | undefined;
}

/**
 * Refuses a data set that is not the one a run was trained on.
 *
 * @returns false where the run is of before data sets were recorded, so that nothing can be compared
 * @throws UserError that says which images and classes came, went or moved
 */
export function refuseOtherDataset(run: string, known: KnownDataset, now: DatasetRecord): boolean {
  const { record, sha256 = record?.sha256 } = known;
  if (sha256 === undefined) return false;
  if (sha256 === now.sha256) return true;
  // A record that is not the checkpoint's own cannot say what differs.
  const differences = record?.sha256 === sha256 ? datasetDifferences(record, now) : null;
  throw new UserError(
    `the data set in ${now.folder} is not the one that ${run} was trained on: ${differences ?? 'its files or classes differ (the record of them, dataset.json, is gone)'}; nothing was done: bring it back as it was, or train a new run`,
  );
}
