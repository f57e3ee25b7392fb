import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Generator, setNumThreads } from '@conquer/torch';
import { UserError } from '../error.js';
import { evaluateEmbeddings, type Metrics } from '../evaluate/evaluate.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { embedImages } from '../train/embed.js';
import { RunFolder } from '../train/run-folder.js';
import { fullEmbeddingMasksOf, modelOf, openDatasetOf } from './assemble.js';
import { openImages } from './images.js';
import { resolveSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';

export interface EvalRequest {
  /** A run folder. */
  run: string;
  checkpoint: 'best' | 'last';
  /** Overrides the device the run was trained on. */
  device?: string;
  out: Output;
}

export interface EvalResult {
  run: string;
  checkpoint: string;
  epoch: number;
  metrics: Metrics;
}

/** Evaluates a run's checkpoint on the unseen classes of its data set. NMI is the mean over ten k-means seeds. */
export async function evaluateRun({ run: path, checkpoint, device, out }: EvalRequest): Promise<EvalResult> {
  const run = RunFolder.open(path);
  const settings = resolveSettings(run.settings(), device === undefined ? {} : { device });
  setNumThreads(settings.threads ?? availableParallelism());
  const file = checkpoint === 'best' ? run.bestCheckpoint : run.lastCheckpoint;
  if (!existsSync(file)) {
    throw new UserError(
      `${path} has no ${checkpoint} checkpoint yet: it is written at the end of the first epoch`,
    );
  }
  const dataset = await openDatasetOf(settings, out);
  const [generator, dropoutGenerator] = [new Generator(0), new Generator(0, settings.device)];
  const model = await modelOf({ ...settings, weights: null }, generator, dropoutGenerator, out);
  const saved = loadCheckpoint(file);
  model.setNumLearners(saved.state.numLearners);
  model.loadStateDict(saved.model);
  disposeCheckpoint(saved);
  const data = await openImages(settings, dataset, model.backbone.input, out);
  const total = dataset.test.paths.length;
  const onProgress = progressBar(out, 'embedding');
  const masks = fullEmbeddingMasksOf(settings);
  const embeddings = await embedImages(model, data.plain('test'), {
    ...(masks && { masks }),
    onProgress: (done) => onProgress({ done, total }),
  });
  const seeds = Array.from({ length: 10 }, (_, seed) => seed);
  const metrics = evaluateEmbeddings(embeddings, dataset.test.labels, {
    recallAt: dataset.recallAt,
    nmi: { seeds },
  });
  embeddings.dispose();
  model.dispose();
  return { run: path, checkpoint: file, epoch: saved.state.epoch, metrics };
}
