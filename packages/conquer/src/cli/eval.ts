import { existsSync } from 'node:fs';
import { Generator } from '@conquer/torch';
import type { Split } from '../datasets/dataset.js';
import { ownInGallery } from '../datasets/file-identity.js';
import { UserError } from '../error.js';
import { evaluateEmbeddings, type Metrics } from '../evaluate/evaluate.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { evaluateModel } from '../train/evaluate-model.js';
import { RunFolder } from '../train/run-folder.js';
import { readTestEmbeddings } from '../train/test-embeddings.js';
import { badImagesOf, fullEmbeddingMasksOf, modelOf, openDatasetOf } from './assemble.js';
import { setUpEngine } from './engine.js';
import { openImages } from './images.js';
import { resolveSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';

export interface EvalRequest {
  /** A run folder. */
  run: string;
  checkpoint: 'best' | 'last';
  /** Overrides the device the run was trained on. */
  device?: string;
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

/** Evaluates a run's checkpoint on the unseen classes of its data set, on all its test sets. NMI is the mean over ten k-means seeds. */
export async function evaluateRun({
  run: path,
  checkpoint,
  device,
  allMetrics = false,
  out,
}: EvalRequest): Promise<EvalResult> {
  const run = RunFolder.open(path);
  // What trainEmbedding() was given is code: its run holds the network and the test images, but no data set's folder.
  if (!('dataset-dir' in run.settings()))
    return await evaluateByFiles({ run: path, checkpoint, allMetrics, out, ...(device && { device }) });
  const settings = resolveSettings(run.settings(), device === undefined ? {} : { device });
  setUpEngine(settings.threads, settings.device);
  const file = checkpoint === 'best' ? run.bestCheckpoint : run.lastCheckpoint;
  if (!existsSync(file)) {
    throw new UserError(
      `${path} has no ${checkpoint} checkpoint yet: it is written at the end of the first epoch`,
    );
  }
  const dataset = await openDatasetOf(settings, out);
  const bad = await badImagesOf(settings, dataset, out, (message) => out.write(`warning: ${message}\n`));
  const [generator, dropoutGenerator] = [new Generator(0), new Generator(0, settings.device)];
  const model = await modelOf({ ...settings, weights: null }, generator, dropoutGenerator, out);
  const saved = loadCheckpoint(file);
  model.setNumLearners(saved.state.numLearners);
  model.loadStateDict(saved.model);
  disposeCheckpoint(saved);
  const masks = fullEmbeddingMasksOf(settings);
  const seeds = Array.from({ length: 10 }, (_, seed) => seed);
  const evaluate = async (test: Split): Promise<Metrics> => {
    const data = await openImages(settings, { ...dataset, test }, model.backbone.input, out, { bad });
    const onProgress = progressBar(out, `embedding ${test.name}`);
    const { metrics, dispose } = await evaluateModel(model, data, {
      recallAt: dataset.recallAt,
      nmi: { seeds },
      extended: allMetrics,
      ...(masks && { masks }),
      onProgress,
    });
    dispose();
    return metrics;
  };
  const testSets: Record<string, Metrics> = {};
  for (const test of dataset.testSets ?? []) testSets[test.name] = await evaluate(test);
  const metrics = testSets[dataset.test.name] ?? (await evaluate(dataset.test));
  model.dispose();
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
  device,
  allMetrics,
  out,
}: EvalRequest): Promise<EvalResult> {
  const run = RunFolder.open(path);
  setUpEngine(null, device);
  const trained = TrainedModel.open(path, { checkpoint, ...(device && { device }) });
  try {
    // Those that the run's own metrics are of.
    const { queries, gallery } = existsSync(run.embeddingsFile)
      ? await readTestEmbeddings(run)
      : run.testImages();
    const embed = (paths: string[], name: string) => {
      const tell = progressBar(out, `embedding ${name}`);
      return trained.embed(paths, { onProgress: (done) => tell({ done, total: paths.length }) });
    };
    using embeddings = await embed(queries.paths, 'test');
    using among = gallery && (await embed(gallery.paths, 'gallery'));
    const logged = run.epochs().findLast((record) => record.metrics)?.metrics ?? {};
    const metrics = evaluateEmbeddings(embeddings, Int32Array.from(queries.labels), {
      recallAt: Object.keys(logged).flatMap((name) => (name.startsWith('R@') ? [Number(name.slice(2))] : [])),
      nmi: { seeds: Array.from({ length: 10 }, (_, seed) => seed) },
      extended: allMetrics ?? false,
      ...(among &&
        gallery && {
          gallery: {
            embeddings: among,
            labels: Int32Array.from(gallery.labels),
            own: await ownInGallery(queries.paths, gallery.paths),
          },
        }),
    });
    const file = checkpoint === 'best' ? run.bestCheckpoint : run.lastCheckpoint;
    const saved = loadCheckpoint(file);
    disposeCheckpoint(saved);
    return { run: path, checkpoint: file, epoch: saved.state.epoch, metrics };
  } finally {
    trained.dispose();
  }
}
