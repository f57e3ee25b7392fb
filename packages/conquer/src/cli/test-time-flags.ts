import { UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import type { TestTimeOptions } from '../models/test-time.js';

/** How a trained network is used, as commander gives it. */
export interface TestTimeFlags {
  prefix?: string | undefined;
  flips?: boolean | undefined;
  crops?: string | undefined;
}

/** The flags of a command that embeds images with a trained network. */
export function addTestTimeFlags(command: Command): Command {
  return command
    .option('--prefix <n>', 'keep the first n dimensions of a nested embedding, at length 1 [all]')
    .option('--flips', 'the mean of an image and its mirror image')
    .option('--crops <n>', '5: the mean of the centre and the four corners [1]');
}

/** @throws UserError for numbers that are none */
export function testTimeFlags({ prefix, flips, crops }: TestTimeFlags): Partial<TestTimeOptions> {
  const dimensions = Number(prefix);
  if (prefix !== undefined && !(Number.isSafeInteger(dimensions) && dimensions >= 1))
    throw new UserError(`--prefix: expected a whole number of at least 1, got '${prefix}'`);
  if (crops !== undefined && crops !== '1' && crops !== '5')
    throw new UserError(`--crops: expected 1 or 5, got '${crops}'`);
  return {
    ...(prefix !== undefined && { prefix: dimensions }),
    ...(flips && { flips }),
    ...(crops !== undefined && { crops: crops === '5' ? 5 : 1 }),
  };
}
