import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { counted, fileOfImage, type ImageList, RunFolder, UserError } from '@conquer-dml/run';
import { readTestedImages } from '../data/tested-images.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { buildDataset } from '../experiment/build.js';
import type { Experiment } from '../experiment/experiment.js';
import { OptionError } from '../option-error.js';
import { disposeCheckpoint } from './checkpoint.js';
import { refuseOtherData } from './continuation.js';
import { setUpEngine } from './engine.js';
import { type EvaluatedSets, type EvaluateNetworkOptions, evaluateNetwork } from './evaluate-network.js';
import { loadCheckpointOf, trainedNetwork } from './run-checkpoint.js';

export interface EvaluateRunOptions extends EvaluateNetworkOptions {
  /** Which weights of the run; default 'best'. */
  checkpoint?: 'best' | 'last';
  /** Where the images of a data set of one's own are now. */
  folder?: string;
}

export interface EvaluatedRun extends EvaluatedSets {
  run: string;
  checkpoint: string;
  epoch: number;
}

/**
 * Evaluates a run's checkpoint on the unseen classes of its data set, on all its test sets. NMI is the mean over ten
 * k-means seeds. A run of a data set that was code of somebody's own is evaluated on the test images that it lists.
 *
 * @param path of the run's folder
 * @param experiment the run's, with what has moved since where it is now
 * @throws UserError for a run that is damaged, or whose data set is not the one that it was trained on
 */
export async function evaluateRun(
  path: string,
  experiment: Experiment,
  options: EvaluateRunOptions = {},
): Promise<EvaluatedRun> {
  const { checkpoint: which = 'best', folder, ...builder } = options;
  const run = RunFolder.open(path);
  if (experiment.data.trainOn === 'all')
    throw new UserError(`${path} trained on every class (data.trainOn 'all'): none is left to evaluate on`);
  setUpEngine(experiment);
  const { checkpoint: saved, file } = loadCheckpointOf(run, which, path);
  try {
    const own = experiment.data.dataset !== null && 'own' in experiment.data.dataset && !builder.own?.dataset;
    const dataset = own ? await listedImages(run, folder) : await buildDataset(experiment, builder);
    const warn = (text: string) => builder.onWarning?.(text);
    if (!own) refuseOtherData(run, saved.state.dataset, recordOf(dataset), warn);
    using model = trainedNetwork(saved, experiment, builder, { file, describedBy: run.configFile });
    const evaluated = await evaluateNetwork(model, experiment, dataset, builder);
    return { run: path, checkpoint: file, epoch: saved.state.epoch, ...evaluated };
  } finally {
    disposeCheckpoint(saved);
  }
}

/** The test images of a run, as its own metrics are of. @param folder where the data set lies now */
async function listedImages(run: RunFolder, folder: string | undefined): Promise<Dataset> {
  const pairs = run.dataset()?.splits.test?.pairs;
  // Pairs are of the images as they are listed, whether they could be read or not.
  const tested = existsSync(run.embeddingsFile) && !pairs ? await readTestedImages(run) : run.testImages();
  const splitOf = (list: ImageList, name: string): Split => {
    const { paths, labels, classNames, labelSets: sets } = listNow(run, list, folder);
    const labelSets = sets?.map((set) => Int32Array.from(set));
    return { name, paths, labels: Int32Array.from(labels), classNames, ...(labelSets && { labelSets }) };
  };
  const test: Split = {
    ...splitOf(tested.queries, 'test'),
    ...(pairs && {
      pairs: {
        first: Int32Array.from(pairs.first),
        second: Int32Array.from(pairs.second),
        same: Uint8Array.from(pairs.same),
      },
    }),
  };
  const gallery = tested.gallery && splitOf(tested.gallery, 'gallery');
  const paths = [...test.paths, ...(gallery?.paths ?? [])];
  refuseMissing(run.path, paths);
  const logged = run.epochs().findLast((record) => record.metrics)?.metrics ?? {};
  return {
    name: 'test',
    train: { name: 'train', paths: [], labels: new Int32Array(), classNames: [] },
    test,
    ...(gallery && { gallery }),
    recallAt: Object.keys(logged).flatMap((name) => Number(/^R@(\d+)$/.exec(name)?.[1] ?? 0) || []),
  };
}

/** The same images where the data set lies now, by where it lay. */
function listNow(run: RunFolder, list: ImageList, folder: string | undefined): ImageList {
  if (folder === undefined) return list;
  const before = run.dataset()?.folder;
  if (typeof before !== 'string')
    throw new UserError(
      `${run.path} does not say where its data set lay, so that it cannot be told where its images are now`,
    );
  return { ...list, paths: list.paths.map((path) => join(resolve(folder), relative(before, path))) };
}

function refuseMissing(run: string, paths: readonly string[]): void {
  const missing = paths.filter((path) => !existsSync(fileOfImage(path)));
  if (missing.length === 0) return;
  throw new OptionError(
    'data.dataset.folder',
    `${missing.length} of the ${counted(paths.length, 'test image')} of ${run} are not there (${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}): say where the data set lies now`,
  );
}
