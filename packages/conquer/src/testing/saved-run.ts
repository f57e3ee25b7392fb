import { RunFolder, type StoredExperiment } from '@conquer-dml/run';
import { Generator, noGrad, randn, scope } from '@conquer-dml/torch';
import { undivided } from '../divide/division.js';
import type { Experiment, ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { createModel } from '../models/create-model.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { type CheckpointState, saveCheckpoint } from '../train/checkpoint.js';

// A run as training leaves it, in no time: a small network of drawn weights.

/** The experiment of `drawnModel`, with other fields where there are some. */
export const drawnExperiment = (fields: ExperimentInput = {}): Experiment =>
  resolveExperiment(
    mergeExperiments<ExperimentInput>(
      {
        data: { imageSize: 24, resize: 28 },
        model: {
          backbone: { name: 'small-resnet', widths: [8, 16] },
          embeddingDim: 16,
          fullEmbeddingMasks: 'sum',
        },
      },
      fields,
    ),
  );

/** The caller disposes it. */
export function drawnModel(seed: number): EmbeddingModel {
  const generator = new Generator(seed);
  const model = createModel(
    { name: 'small-resnet', widths: [8, 16] },
    {
      embeddingDim: 16,
      fullEmbeddingMasks: 'sum',
      masks: { initialisation: 'normal', numLearners: 4 },
      generator,
    },
  );
  // Statistics that matter, which a network has only after training.
  scope(() =>
    noGrad(() => {
      for (const [name, value] of model.stateDict())
        if (name.endsWith('running_mean')) value.copy_(randn(value.shape, { generator }).mul(0.1));
    }),
  );
  return model;
}

/** Writes its checkpoint. @param path of the file */
export function saveDrawn(path: string, experiment: object, seed: number): void {
  using model = drawnModel(seed);
  const { clusters, ...division } = undivided(new Int32Array(4));
  saveCheckpoint(path, {
    model: model.stateDict(),
    loss: new Map(),
    optimizer: new Map(),
    clusters,
    state: {
      experiment: experiment as StoredExperiment,
      epoch: 0,
      numLearners: 4,
      masksTrain: true,
      division,
      optimizer: { algorithm: 'adam', groups: [] } as unknown as CheckpointState['optimizer'],
      random: [],
      generator: '',
      best: null,
      seconds: { divide: 0, train: 0, evaluate: 0, total: 0 },
      images: 0,
    },
  });
}

/** A run folder with a best checkpoint; its path. */
export function drawnRun(path: string, experiment: object, seed = 1): string {
  saveDrawn(RunFolder.create(path, experiment).bestCheckpoint, experiment, seed);
  return path;
}
