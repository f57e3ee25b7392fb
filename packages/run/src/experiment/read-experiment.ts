import { UserError } from '../error.js';
import { type Fields, isFields } from '../records/fields.js';
import { commandLineDialect, isCommandLineDialect } from './command-line-dialect.js';
import { isLibraryDialect, libraryDialect } from './library-dialect.js';
import { EXPERIMENT_FORMAT, type StoredExperiment } from './stored-experiment.js';

/** Whose settings side by side these are, of before there were sections; null for an experiment, and for what is none. */
export function earlierDialect(value: unknown): 'library' | 'command line' | null {
  if (!isFields(value) || 'format' in value) return null;
  if (isLibraryDialect(value)) return 'library';
  return isCommandLineDialect(value) ? 'command line' : null;
}

/**
 * The experiment of a config.json, or of a checkpoint's copy of it, whichever version wrote it: this is the only reader of
 * the two older dialects.
 *
 * @param file for the message
 * @throws UserError for what is none
 */
export function experimentOf(value: unknown, file: string): StoredExperiment {
  const { format, ...fields } = isFields(value) ? value : ({} as Fields);
  if (format === EXPERIMENT_FORMAT) return fields as StoredExperiment;
  const dialect = earlierDialect(value);
  if (dialect === 'library') return libraryDialect(fields);
  if (dialect === 'command line') return commandLineDialect(fields);
  if (typeof format === 'number' && format > EXPERIMENT_FORMAT)
    throw new UserError(
      `${file} has the format ${format}, of a newer version: this one reads up to ${EXPERIMENT_FORMAT}`,
    );
  throw new UserError(`${file} is damaged: expected the settings of the run, got none`);
}
