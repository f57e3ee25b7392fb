import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DatasetRecord,
  datasetDifferences,
  type RunFolder,
  recordOfSplits,
  type Settings,
  UserError,
} from '@conquer/run';
import type { Checkpoint, CheckpointState } from './checkpoint.js';

/**
 * Settings that may differ in a run that goes on, as they are not the experiment: how long it is, where its files, images
 * and processors are, who follows it, and what happens to images and numbers that go bad from now on.
 */
export const mayChange: readonly string[] = [
  'epochs',
  'lr-after',
  'lr-courses',
  'dataset-dir',
  'image-folder',
  'device',
  'threads',
  'on-bad-image',
  'on-nan',
  'tensorboard',
  'wandb',
  'mlflow',
  'name',
  'runs-dir',
];

/** Names of files, which may lie elsewhere than they did; a word in the place of one may not change. */
const files: Record<string, readonly string[]> = { split: ['half', 'random'], weights: ['imagenet', 'none'] };

/** Runs of the command line record where their data set lies; trainEmbedding() is given it, and does not. */
export function isOfCommandLine(settings: Settings): boolean {
  return 'dataset-dir' in settings;
}

/**
 * The settings of an experiment that differ, each as `name: before → now`; none where it is the same. One that either
 * side does not know, as older versions do not, counts as the same.
 */
export function settingsDifferences(before: Settings, now: Settings): string[] {
  const isFile = (name: string, value: unknown) =>
    name in files && typeof value === 'string' && !files[name]?.includes(value);
  const names = Object.keys(before).filter((name) => name in now && !mayChange.includes(name));
  // A library's run has the folder's name for its data set, and that may be called something else by now.
  const compared = isOfCommandLine(now) ? names : names.filter((name) => name !== 'dataset');
  return compared
    .filter((name) => before[name] !== now[name] && !(isFile(name, before[name]) && isFile(name, now[name])))
    .map((name) => `${name}: ${JSON.stringify(before[name])} → ${JSON.stringify(now[name])}`);
}

/**
 * Refuses to go on with a run under other settings than it was trained with, or from the other side: what the command
 * line records of a run is more than trainEmbedding() can say, and the other way round.
 *
 * @param run its folder, as it was given
 * @param before settings that the run or its checkpoint holds
 * @throws UserError that says what differs and how to go on
 */
export function refuseOtherSettings(run: string, before: Settings, now: Settings): void {
  if (isOfCommandLine(before) !== isOfCommandLine(now)) {
    throw new UserError(
      isOfCommandLine(before)
        ? `${run} is a run of the command line, which trainEmbedding() cannot go on with: npx conquer train --resume ${run}`
        : `${run} is a run of trainEmbedding(), which the command line cannot go on with: call trainEmbedding({ run, resume: true, … }) with the options it was made with`,
    );
  }
  const differences = settingsDifferences(before, now);
  if (differences.length === 0) return;
  throw new UserError(
    `${run} was trained with other settings (then → now), so that it cannot go on: ${differences.join('; ')}; restore these, or train a new run`,
  );
}

/**
 * Refuses to go on with a run as another experiment than it is.
 *
 * @param saved of the checkpoint that it goes on from; null where there is none yet
 * @param given what it would go on with; `record` of its data set, null where the caller looks after that
 * @throws UserError that says what differs
 */
export function refuseOtherExperiment(
  run: RunFolder,
  saved: CheckpointState | null,
  given: { settings: Settings; record: DatasetRecord | null; note: (text: string) => void },
): void {
  const { settings, record, note } = given;
  // config.json may have been edited since; the checkpoint says what was trained.
  for (const before of [run.settings(), ...(saved ? [saved.settings] : [])])
    refuseOtherSettings(run.path, before, settings);
  if (record) refuseOtherData(run, saved?.dataset, record, note);
}

/**
 * Refuses to go on with a run, or to evaluate it, on another data set than it was trained on; of a run of before data
 * sets were recorded, on other test images than it had.
 *
 * @param sha256 as the checkpoint has it; undefined in older ones
 * @param note told where the training images cannot be compared
 * @throws UserError that says which images and classes came, went or moved
 */
export function refuseOtherData(
  run: RunFolder,
  sha256: string | undefined,
  now: DatasetRecord,
  note: (text: string) => void,
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
  note(
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
      `${run.path} was trained with other learning rates: epoch ${epoch + 1} ended at ${then}, learningRateFactor would have it end at ${now * learningRate}; give the factor of the epochs that are trained (made for ${run.settings().epochs} epochs), and after them what the added ones are to have, or null to hold the last`,
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
