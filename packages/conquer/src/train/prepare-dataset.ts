import { availableParallelism } from 'node:os';
import { counted, type RunFolder, UserError } from '@conquer-dml/run';
import type { Dataset } from '../datasets/dataset.js';
import { classesTrainedAndTested, recordOf } from '../datasets/dataset-record.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric } from '../evaluate/metrics.js';
import { buildDataset, buildSchedule } from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import { builtInParts, type Experiment } from '../experiment/experiment.js';
import { type Settled, settleDivision, withDivision } from '../experiment/settle-division.js';
import { OptionError } from '../option-error.js';
import { refuseBatchBeyondMemory } from './batch-memory.js';
import { refuseOtherDataset } from './continuation.js';

/**
 * Opens an experiment's data set, settles what it decides of the experiment, and sees to it that the two fit together, before anything is
 * decoded or built.
 *
 * @param resumed the run that goes on, which knows its data set
 * @throws UserError for data that cannot work, or are not those of the run
 */
export async function prepareDataset(
  open: Experiment,
  builder: Builder,
  resumed: RunFolder | null,
): Promise<Settled & { dataset: Dataset }> {
  const { data, divide, train, evaluate } = open;
  warnOfThreads(open, builder);
  refuseBatchBeyondMemory(data.batchSize, data.imageSize, train.device, train.gradientCache?.chunk ?? null);
  // Numbers that contradict each other are refused before the data are read.
  buildSchedule(withDivision(open, { numLearners: 1, divideFrom: 0 }));
  const dataset = await buildDataset(open, builder);
  if (dataset.train.paths.length === 0)
    throw new UserError(
      `the data set ${dataset.name} has nothing to train on, only images to test: conquer eval measures on them`,
    );
  refuseSeenClasses(dataset);
  if (resumed) refuseOtherDataset(resumed.path, { record: resumed.dataset() }, recordOf(dataset));
  const settled = settleDivision(open, dataset.train, resumed);
  // A run that goes on was let in before.
  if (!resumed?.hasCheckpoint)
    refuseTooManyClusters(
      buildSchedule(settled.experiment).mostClusters(train.epochs),
      dataset.train.labels,
      divide.clusterBy,
      dataset.train.pairs,
    );
  if (dataset.test.paths.length > 0)
    refuseOtherMetric(evaluate.bestBy, dataset.recallAt, dataset.test.pairs !== undefined);
  refuseOtherSupervision(dataset, data.sampler.name, builder);
  const images = dataset.train.paths.length;
  if (data.batchSize > images)
    builder.onWarning?.(
      `data.batchSize ${data.batchSize} is more than the ${images} training images: batches repeat images`,
    );
  return { ...settled, dataset };
}

/** @throws OptionError for a sampler that draws what the data set has not */
function refuseOtherSupervision(
  { name, train }: Dataset,
  sampler: string,
  { parts = builtInParts }: Builder,
): void {
  const drawsPairs = parts.samplers.find((part) => part.name === sampler)?.usesPairs ?? false;
  if (drawsPairs === (train.pairs !== undefined)) return;
  throw new OptionError(
    'data.sampler',
    train.pairs
      ? `${sampler} draws batches by class, and the data set ${name} has pairs in the place of classes: expected pairs`
      : `${sampler} draws pairs, and the data set ${name} has classes: expected another sampler, such as adaptive`,
  );
}

function warnOfThreads({ train }: Experiment, { onWarning }: Builder): void {
  const processors = availableParallelism();
  if ((train.threads ?? 0) <= processors) return;
  onWarning?.(
    `train.threads ${train.threads} on ${counted(processors, 'processor')}: threads wait for each other, which takes longer than fewer threads do`,
  );
}

function refuseSeenClasses(dataset: Dataset): void {
  const seen = classesTrainedAndTested(dataset);
  if (seen.length === 0) return;
  throw new UserError(
    `the data set ${dataset.name} tests on classes that it trains on (${seen.length}: ${seen.slice(0, 3).join(', ')}${seen.length > 3 ? ', …' : ''}): expected other classes in test, validation and gallery, or other names for them`,
  );
}
