import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { testTimeOf } from '../models/test-time.js';
import type { AnyIndex } from '../retrieve/any-index.js';
import { calibrationOfModel } from '../retrieve/model-calibration.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { isFile, type ModelFlags, modelOf } from './model-of.js';

export interface IndexModelFlags
  extends Pick<ModelFlags, 'device' | 'precision' | 'plugin' | 'arch' | 'progress'> {
  /** The index, for errors. */
  file: string;
  /** Where its run is now; default: where it was when the index was made. */
  run?: string | undefined;
}

/**
 * The model that an index was made with, used as its rows were made; and the index's calibration is the model's, where it has none.
 *
 * @throws UserError where it is not there any more, or has other weights by now
 */
export async function modelOfIndex(
  index: AnyIndex,
  { file, run, ...flags }: IndexModelFlags,
): Promise<TrainedModel> {
  const { origin } = index;
  if (origin === null || origin.source === null)
    throw new UserError(
      `${file} is of rows that no run made: it is searched from a program, by rows of the same kind`,
    );
  const { checkpoint, source, embedder } = origin;
  const from = run ?? source;
  if (run === undefined && isAbsolute(from) && !existsSync(from))
    throw new UserError(
      `${file} was made with the run ${from}, which is no longer there: say where it is now with --run`,
    );
  // The file of a checkpoint is what it is: whether it is the index's, its hash says.
  const which = isFile(from) ? null : checkpoint;
  const model = await modelOf(from, { ...flags, checkpoint: which, testTime: testTimeOf(embedder) });
  try {
    index.requireEmbedder(model);
  } catch (error) {
    model.close();
    throw new UserError(`${file}: ${(error as Error).message}`);
  }
  index.calibration ??= calibrationOfModel(model);
  return model;
}
