import { existsSync } from 'node:fs';
import { type RunFolder, UserError } from '@conquer/run';
import { type Checkpoint, disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { isOfCommandLine, settingsDifferences } from './continuation.js';

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
        ? `${file} is gone: restore it, or take the run's other checkpoint (--checkpoint ${other})`
        : `${path} has no ${which} checkpoint yet: it is written at the end of the first epoch`,
    );
  }
  const checkpoint = loadCheckpoint(file);
  try {
    const before = checkpoint.state.settings;
    // What was taken out of config.json would have its default.
    const takenOut = Object.fromEntries(Object.keys(before).map((name) => [name, null]));
    const own = run.settings();
    const now = { ...takenOut, ...own };
    if (Object.keys(before).length > 0 && isOfCommandLine(before) !== isOfCommandLine(own)) {
      throw new UserError(
        `${run.configFile} was written over by ${isOfCommandLine(own) ? 'the command line' : 'trainEmbedding()'} since ${file} was saved, and does not describe it: restore it`,
      );
    }
    const differences = settingsDifferences(before, now);
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
