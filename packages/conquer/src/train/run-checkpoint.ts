import { existsSync } from 'node:fs';
import { type RunFolder, UserError } from '@conquer-dml/run';
import { Generator } from '@conquer-dml/torch';
import { buildNetwork } from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment } from '../experiment/experiment.js';
import { withDivision } from '../experiment/settle-division.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { otherThanRecorded } from '../models/network-record.js';
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

/** What a checkpoint is called in errors: its file, and what describes the network that it is to hold. */
export interface CheckpointNames {
  file: string;
  describedBy: string;
}

/**
 * The network of a checkpoint with its trained weights, on the experiment's device. It belongs to the caller.
 *
 * @throws UserError when it is not the network that they are of
 */
export function trainedNetwork(
  saved: Checkpoint,
  experiment: Experiment,
  builder: Builder,
  { file, describedBy }: CheckpointNames,
): EmbeddingModel {
  const { device } = experiment.train;
  const generators = { generator: new Generator(0), dropoutGenerator: new Generator(0, device) };
  const { numLearners } = saved.state;
  const model = buildNetwork(withDivision(experiment, { numLearners, divideFrom: 0 }), generators, builder);
  try {
    model.setNumLearners(numLearners);
    model.loadStateDict(saved.model);
    const { network } = saved.state;
    const other = network ? otherThanRecorded(network, model) : null;
    if (other !== null) throw new Error(other);
    return model;
  } catch (error) {
    model.dispose();
    const reason = error instanceof Error ? error.message : error;
    throw new UserError(`${file} does not hold the network that ${describedBy} describes: ${reason}`);
  }
}
