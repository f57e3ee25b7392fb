import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { counted, type ImageList, type Metrics, RunFolder, UserError } from '@conquer/run';
import { Generator } from '@conquer/torch';
import { ownInGallery } from '../data/file-identity.js';
import { readTestedImages } from '../data/tested-images.js';
import type { Split } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { type Checkpoint, disposeCheckpoint } from '../train/checkpoint.js';
import { isOfCommandLine, refuseOtherData } from '../train/continuation.js';
import { evaluateModel } from '../train/evaluate-model.js';
import { loadCheckpointOf } from '../train/run-checkpoint.js';
import { badImagesOf, modelOf, openDatasetOf } from './assemble.js';
import { setUpEngine } from './engine.js';
import { openImages } from './images.js';
import { type OptionName, parseOption, type TrainSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';
import { cachedOf, storedSettings } from './train.js';

export interface EvalRequest {
  /** A run folder. */
  run: string;
  checkpoint: 'best' | 'last';
  /** Where the run's data are now and what this machine is like, by the names of the options: see `movable`. */
  given?: Record<string, unknown>;
  /** Also MAP, F1, spectral decay and class distances, see EvaluateOptions. */
  allMetrics?: boolean;
  out: Output;
}

export interface EvalResult {
  run: string;
  checkpoint: string;
  epoch: number;
  /** On the test set that training reports on. */
  metrics: Metrics;
  /** By name, where the data set has several test sets. */
  testSets?: Record<string, Metrics>;
}

/**
 * Evaluates a run's checkpoint on the unseen classes of its data set, on all its test sets. NMI is the mean over ten
 * k-means seeds.
 *
 * @throws UserError for a run that is damaged, or whose data set is not the one that it was trained on
 */
export async function evaluateRun(request: EvalRequest): Promise<EvalResult> {
  const { run: path, checkpoint, given = {}, allMetrics = false, out } = request;
  const run = RunFolder.open(path);
  // What trainEmbedding() was given is code: its run holds the network and the test images, but no data set's folder.
  if (!isOfCommandLine(run.settings())) return await evaluateByFiles(request);
  const note = (text: string) => void out.write(`note: ${text}\n`);
  const { cache, ...others } = given;
  const settings = storedSettings(path, others, note);
  const cached = cache === undefined ? undefined : cachedOf(settings, cache, note);
  if (settings['train-on'] === 'all')
    throw new UserError(`${path} trained on every class (--train-on all): none is left to evaluate on`);
  setUpEngine(settings.threads, settings.device);
  const { checkpoint: saved, file } = loadCheckpointOf(run, checkpoint, path);
  try {
    return await evaluateCheckpoint({ run, path, saved, file, settings, cached, allMetrics, note, out });
  } finally {
    disposeCheckpoint(saved);
  }
}

interface CheckpointEvaluation {
  run: RunFolder;
  path: string;
  saved: Checkpoint;
  file: string;
  settings: TrainSettings;
  cached: boolean | undefined;
  allMetrics: boolean;
  note: (text: string) => void;
  out: Output;
}

async function evaluateCheckpoint(evaluation: CheckpointEvaluation): Promise<EvalResult> {
  const { run, path, saved, file, settings, cached, allMetrics, note, out } = evaluation;
  const dataset = await openDatasetOf(settings, out);
  refuseOtherData(run, saved.state.dataset, recordOf(dataset), note);
  const bad = await badImagesOf(settings, dataset, out, (message) => out.write(`warning: ${message}\n`));
  const [generator, dropoutGenerator] = [new Generator(0), new Generator(0, settings.device)];
  using model = await modelOf({ ...settings, weights: null }, generator, dropoutGenerator, out);
  try {
    model.setNumLearners(saved.state.numLearners);
    model.loadStateDict(saved.model);
  } catch (error) {
    throw new UserError(
      `${file} does not hold the network that ${run.configFile} describes: ${(error as Error).message}`,
    );
  }
  const seeds = Array.from({ length: 10 }, (_, seed) => seed);
  const evaluate = async (test: Split): Promise<Metrics> => {
    const data = await openImages(settings, { ...dataset, test }, model.backbone.input, out, {
      bad,
      ...(cached !== undefined && { cached }),
    });
    const onProgress = progressBar(out, `embedding ${test.name}`);
    const { metrics, dispose } = await evaluateModel(model, data, {
      recallAt: dataset.recallAt,
      nmi: { seeds },
      extended: allMetrics,
      onProgress,
    });
    dispose();
    return metrics;
  };
  const testSets: Record<string, Metrics> = {};
  for (const test of dataset.testSets ?? []) testSets[test.name] = await evaluate(test);
  const metrics = testSets[dataset.test.name] ?? (await evaluate(dataset.test));
  return {
    run: path,
    checkpoint: file,
    epoch: saved.state.epoch,
    metrics,
    ...(dataset.testSets && { testSets }),
  };
}

/** Of a run that `trainEmbedding()` made: the images of its test-images.json. */
async function evaluateByFiles({
  run: path,
  checkpoint,
  given = {},
  allMetrics,
  out,
}: EvalRequest): Promise<EvalResult> {
  const run = RunFolder.open(path);
  const value = (name: OptionName) => (name in given ? parseOption(name, given[name]) : null);
  const device = value('device') as string | null;
  setUpEngine(value('threads') as number | null, device ?? 'cpu');
  const trained = TrainedModel.open(path, { checkpoint, ...(device !== null && { device }) });
  try {
    // Those that the run's own metrics are of.
    const tested = existsSync(run.embeddingsFile) ? await readTestedImages(run) : run.testImages();
    const skip = value('on-bad-image') === 'skip';
    const moved = (list: ImageList) => listNow(run, list, value('dataset-dir') as string | null);
    const lists = { queries: moved(tested.queries), gallery: tested.gallery && moved(tested.gallery) };
    if (!skip) refuseMissing(path, [...lists.queries.paths, ...(lists.gallery?.paths ?? [])]);
    const embed = async ({ paths, labels }: ImageList, name: string) => {
      const tell = progressBar(out, `embedding ${name}`);
      const bad = new Set<number>();
      const embeddings = await trained.embed(paths, {
        onProgress: (done) => tell({ done, total: paths.length }),
        ...(skip && {
          onBad: (error: Error, place: number) => {
            bad.add(place);
            out.write(`warning: ${error.message}; it is left out\n`);
          },
        }),
      });
      const isGood = (_: unknown, place: number) => !bad.has(place);
      return { embeddings, paths: paths.filter(isGood), labels: Int32Array.from(labels.filter(isGood)) };
    };
    const queries = await embed(lists.queries, 'test');
    using embeddings = queries.embeddings;
    const gallery = lists.gallery && (await embed(lists.gallery, 'gallery'));
    using _ = gallery?.embeddings;
    const logged = run.epochs().findLast((record) => record.metrics)?.metrics ?? {};
    const metrics = evaluateEmbeddings(embeddings, queries.labels, {
      recallAt: Object.keys(logged).flatMap((name) => (name.startsWith('R@') ? [Number(name.slice(2))] : [])),
      nmi: { seeds: Array.from({ length: 10 }, (_, seed) => seed) },
      extended: allMetrics ?? false,
      ...(gallery && {
        gallery: {
          embeddings: gallery.embeddings,
          labels: gallery.labels,
          own: await ownInGallery(queries.paths, gallery.paths),
        },
      }),
    });
    const { checkpoint: saved, file } = loadCheckpointOf(run, checkpoint, path);
    disposeCheckpoint(saved);
    return { run: path, checkpoint: file, epoch: saved.state.epoch, metrics };
  } finally {
    trained.dispose();
  }
}

/** The same images where the data set lies now, by where it lay. */
function listNow(run: RunFolder, list: ImageList, folder: string | null): ImageList {
  if (folder === null) return list;
  const before = run.dataset()?.folder ?? run.settings()['image-folder'];
  if (typeof before !== 'string')
    throw new UserError(
      `${run.path} does not say where its data set lay, so that --dataset-dir cannot tell where its images are now`,
    );
  return { ...list, paths: list.paths.map((path) => join(resolve(folder), relative(before, path))) };
}

function refuseMissing(run: string, paths: readonly string[]): void {
  const missing = paths.filter((path) => !existsSync(path));
  if (missing.length === 0) return;
  throw new UserError(
    `${missing.length} of the ${counted(paths.length, 'test image')} of ${run} are not there (${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}): say by --dataset-dir where the data set lies now`,
  );
}
