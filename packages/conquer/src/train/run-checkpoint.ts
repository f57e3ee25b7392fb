import { existsSync } from 'node:fs';
import { type RunFolder, UserError } from '@conquer/run';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { type Checkpoint, disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { experimentDifferences } from './differences.js';

/**
 * The checkpoint of a run that is to be used as the run's config.json says.
 *
 * @param path the run's folder, as errors are to name it
 * @returns the checkpoint, whose tensors belong to the caller, and its file
 * @throws UserError when it is not there or damaged, or config.json is not what it was trained with
 */
export function loadCheckpointOf(
  run: RunFolder,
  which: 'best' | 'last',
  path = run.path,
): { checkpoint: Checkpoint; file: string } {
  const file = which === 'best' ? run.bestCheckpoint : run.lastCheckpoint;
  const other = which === 'best' ? 'last' : 'best';
  if (!existsSync(file)) {
    const otherThere = existsSync(which === 'best' ? run.lastCheckpoint : run.bestCheckpoint);
    throw new UserError(
      otherThere && run.epochs().some(({ epoch }) => epoch >= 0)
        ? `${file} is gone: restore it, or take the run's other checkpoint, '${other}'`
        : `${path} has no ${which} checkpoint yet: it is written at the end of the first epoch`,
    );
  }
  const checkpoint = loadCheckpoint(file);
  try {
    const before = checkpoint.state.experiment;
    // What was taken out of config.json would have its default.
    const takenOut = Object.keys(before).filter((section) => !(section in run.experiment()));
    const differences = [
      ...takenOut.map((section) => `${section} was taken out`),
      ...experimentDifferences(before, run.experiment()),
    ];
    if (differences.length > 0) {
      throw new UserError(
        `${run.configFile} was changed since ${file} was saved (then → now): ${differences.join('; ')}; restore it`,
      );
    }
  } catch (error) {
    disposeCheckpoint(checkpoint);
    throw error;
  }
  return { checkpoint, file };
}

/**
 * Fills a network with a run's trained weights.
 *
 * @throws UserError when it is not the network that they are of
 */
export function loadModel(
  model: EmbeddingModel,
  saved: Checkpoint,
  { file, run }: { file: string; run: RunFolder },
): void {
  try {
    model.setNumLearners(saved.state.numLearners);
    model.loadStateDict(saved.model);
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new UserError(`${file} does not hold the network that ${run.configFile} describes: ${reason}`);
  }
}
