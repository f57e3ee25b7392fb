import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunFolder, UserError } from '@conquer-dml/run';
import { type DataOptions, openData } from '../datasets/data.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { VALIDATION } from './class-splits.js';
import { FIT_FILE, type FitReport, type NetworkData } from './fit-report.js';

/** Of the first split: a random half by this seed tests in a training of the network too, where each class has two photos. */
const FIRST_SPLIT = 0;

/**
 * The data of a fit as a training of the network takes them: without splits of their own, the test classes are those of the fit's
 * first split, so that its numbers and the fit's are of the same classes.
 *
 * @returns null where the data cannot be divided into classes to train and to test on
 */
export async function networkData({
  dataset,
  exclude,
}: Pick<DataOptions, 'dataset' | 'exclude'>): Promise<NetworkData | null> {
  try {
    const { train, validation } = await openData(
      { dataset: splitAtRandom(dataset), exclude },
      { seed: FIRST_SPLIT },
    );
    const classes = train.classNames.length;
    const aside = Math.max(2, Math.round(VALIDATION * classes));
    const enough = validation === undefined && classes - aside >= 2;
    return { seed: FIRST_SPLIT, validationFraction: enough ? Math.ceil((100 * aside) / classes) / 100 : 0 };
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** Data of one's own, half of whose classes test; published data have a split. */
const splitAtRandom = <Named extends { name?: string }>(dataset: Named): Named =>
  ['folder', 'csv', 'webdataset', 'parquet'].includes(dataset.name ?? '')
    ? { ...dataset, split: 'random', trainFraction: 0.5 }
    : dataset;

/**
 * Of a run what a training of the network on the same data begins with: data set, classes that are set aside, size of the images,
 * the network and its published weights. Of one that `fit` wrote, which has trained on all classes, a half of them tests again.
 */
export function dataAndNetworkOf(run: RunFolder): ExperimentInput {
  const { data = {}, model = {} } = run.experiment() as ExperimentInput;
  const { dataset, exclude, trainOn, classRatio, validationFraction, imageSize, resize, onBadImage } = data;
  const taken: ExperimentInput = {
    data: {
      ...{ dataset, exclude, trainOn, classRatio, validationFraction, imageSize, resize, onBadImage },
    } as never,
    model: { backbone: model.backbone, weights: model.weights } as never,
  };
  const file = join(run.path, FIT_FILE);
  if (!existsSync(file)) return taken;
  const { networkData: apart } = JSON.parse(readFileSync(file, 'utf8')) as FitReport;
  if (!apart)
    throw new UserError(`${file} does not say how its data are divided into classes to train and to test on`);
  const { seed, validationFraction: fraction } = apart;
  return {
    ...taken,
    data: {
      ...taken.data,
      dataset: splitAtRandom(dataset as { name?: string }) as never,
      trainOn: 'split',
      validationFraction: fraction,
    },
    train: { seed },
  };
}
