import { readFileSync } from 'node:fs';
import { earlierDialect, experimentOf, UserError } from '@conquer-dml/run';
import { decodeText } from '../datasets/text-file.js';
import type { ExperimentInput } from '../experiment/experiment.js';

/**
 * An experiment as `--print-experiment` prints it, or a run's config.json.
 *
 * @throws UserError for a file that cannot be read, or holds none
 */
export function experimentFile(file: string): ExperimentInput {
  let contents: unknown;
  try {
    contents = JSON.parse(decodeText(readFileSync(file), file));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`the experiment ${file} cannot be read: ${(error as Error).message}`);
  }
  if (typeof contents !== 'object' || contents === null || Array.isArray(contents))
    throw new UserError(`the experiment ${file} is no object: expected {"section": {"field": value, …}, …}`);
  if ('format' in contents || earlierDialect(contents) !== null)
    return experimentOf(contents, file) as ExperimentInput;
  return contents as ExperimentInput;
}
