import type { Dataset } from '../datasets/dataset.js';
import type { Builder } from '../experiment/builder.js';
import { builtInParts, type Experiment, type Parts } from '../experiment/experiment.js';
import { weightWords } from '../models/weights/weight-words.js';
import { goesBy } from '../part.js';
import { seenClassesWarning } from './seen-classes.js';

/**
 * Adam moves a weight by about the learning rate a step. Weights that were drawn at random learn next to nothing below this:
 * docs/recipes.md has what was measured.
 */
export const LEAST_LEARNING_RATE_AT_RANDOM = 1e-4;

/** What keeps the network of an experiment from learning, and what to do; null where nothing does. */
export function startWarning({ model, optimize }: Experiment, parts: Parts): string | null {
  const { learningRate, embeddingLearningRateMultiplier } = optimize;
  const highest = learningRate! * Math.max(1, embeddingLearningRateMultiplier);
  const found: string[] = [];
  if (highest === 0) found.push('a learning rate of 0 leaves backbone and embedding as they are');
  if (model.weights === null) {
    if (model.batchNorm === 'frozen' && hasBatchNorm(model, parts))
      found.push('BatchNorm is frozen at statistics that are not those of weights drawn at random');
    if (highest > 0 && highest < LEAST_LEARNING_RATE_AT_RANDOM)
      found.push(
        `weights drawn at random learn next to nothing at a learning rate of ${highest}: it is for pretrained ones`,
      );
  }
  return found.length === 0 ? null : `${found.join(', and ')}${waysOn(learningRate!)}`;
}

const hasBatchNorm = ({ backbone }: Experiment['model'], parts: Parts) =>
  'own' in backbone || (parts.backbones.find((part) => goesBy(part, backbone.name))?.batchNorm ?? true);

const waysOn = (learningRate: number) =>
  learningRate === 0
    ? ' (optimize.learningRate)'
    : ": start from pretrained weights (model.weights 'published'), or train random ones with model.batchNorm 'trained' and optimize.learningRate 0.001";

/** Says where a memory begins only after the last batch; null where it does begin. */
export function lateMemoryWarning({ train, data }: Experiment, images: number): string | null {
  if (train.crossBatchMemory === null) return null;
  const { startStep } = train.crossBatchMemory;
  const batches = Math.floor(images / data.batchSize) * data.passesPerEpoch * train.epochs;
  if (startStep < batches) return null;
  return `the memory of earlier batches begins after ${startStep} batches, and the training has about ${batches}: without a lower train.crossBatchMemory.startStep it trains as without one`;
}

/** Notes what will keep a network from learning, and which of the classes to test on its weights have seen. */
export function warnOfStart(
  experiment: Experiment,
  dataset: Dataset,
  { parts = builtInParts, onWarning }: Builder,
): void {
  const start = startWarning(experiment, parts);
  if (start !== null) onWarning?.(start);
  const late = lateMemoryWarning(experiment, dataset.train.labels.length);
  if (late !== null) onWarning?.(late);
  const { weights } = experiment.model;
  const seen =
    weights === null || weightWords.includes(weights) ? null : seenClassesWarning(weights, dataset);
  if (seen !== null) onWarning?.(seen);
}
