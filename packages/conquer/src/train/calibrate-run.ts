import { type Calibration, RunFolder, sha256OfFile, UserError } from '@conquer-dml/run';
import { imagesAsSeen, plainBatches } from '../data/plain-batches.js';
import type { Split } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { type CalibrateOptions, calibrate } from '../evaluate/calibrate.js';
import { calibratePairs } from '../evaluate/calibrate-pairs.js';
import { embedImages } from '../evaluate/embed.js';
import { buildDataset } from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment } from '../experiment/experiment.js';
import { pairsAmong } from '../image-pairs.js';
import { disposeCheckpoint } from './checkpoint.js';
import { refuseOtherData } from './continuation.js';
import { setUpEngine } from './engine.js';
import { loadCheckpointOf, trainedNetwork } from './run-checkpoint.js';

export interface CalibrateRunOptions extends Builder, Pick<CalibrateOptions, 'rates' | 'seed'> {}

/**
 * Calibrates the similarities of a run's best checkpoint on classes, or pairs, that it has not seen: those that its best epoch was
 * chosen on, where there are some, or else those that it was tested on. Keeps that in the run.
 *
 * @param path of the run's folder
 * @param experiment the run's, with what has moved since where it is now
 * @throws UserError for a run that is damaged, whose data set is not the one that it was trained on, or that has no unseen classes
 */
export async function calibrateRun(
  path: string,
  experiment: Experiment,
  options: CalibrateRunOptions = {},
): Promise<Calibration> {
  const run = RunFolder.open(path);
  setUpEngine(experiment);
  const dataset = await buildDataset(experiment, options);
  const { checkpoint } = loadCheckpointOf(run, 'best', path);
  try {
    refuseOtherData(run, checkpoint.state.dataset, recordOf(dataset), (text) => options.onWarning?.(text));
  } finally {
    disposeCheckpoint(checkpoint);
  }
  if (dataset.validation) return await calibrateOn(run, dataset.validation, experiment, options);
  if (experiment.data.trainOn === 'all')
    throw new UserError(
      `${path} trained on every class (data.trainOn 'all'): none is left to calibrate on; calibrate an index of labelled images of other classes`,
    );
  return await calibrateOn(run, dataset.test, experiment, options);
}

/** The same by the images of a split, of unseen classes; those that cannot be read are left out. */
export async function calibrateOn(
  run: RunFolder,
  split: Split,
  experiment: Experiment,
  { rates, seed, ...builder }: CalibrateRunOptions,
): Promise<Calibration> {
  const { checkpoint: saved, file } = loadCheckpointOf(run, 'best', run.path);
  try {
    using model = trainedNetwork(saved, experiment, builder, { file, describedBy: run.configFile });
    model.eval();
    const { view } = model;
    const bad = new Set<number>();
    const batches = plainBatches(imagesAsSeen(split.paths, view), view, {
      device: experiment.train.device,
      onBad: (_, place) => void bad.add(place),
    });
    const total = split.paths.length;
    const onProgress = builder.onPreparation?.(`embedding ${split.name}`);
    using rows = await embedImages(model, batches, {
      nameOf: (row) => `${split.name} image ${row + 1}`,
      signal: builder.signal,
      mayBeEmpty: true,
      onProgress: (done) => onProgress?.({ done, total }),
    });
    const stated = {
      rates,
      seed,
      embedder: sha256OfFile(file),
      source: `${split.name} ${split.pairs ? 'pairs' : 'classes'} of ${run.path}`,
    };
    const kept = [...split.labels.keys()].filter((place) => !bad.has(place));
    const labels = Int32Array.from(kept, (place) => split.labels[place]!);
    const calibration = split.pairs
      ? calibratePairs(rows, pairsAmong(split.pairs, kept), labels, stated)
      : calibrate(rows, labels, { ...stated, stop: builder.signal });
    run.writeCalibration(calibration);
    return calibration;
  } finally {
    disposeCheckpoint(saved);
  }
}
