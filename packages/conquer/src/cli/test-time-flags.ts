import { UserError } from '@conquer-dml/run';
import type { TestTimeOptions } from '../models/test-time.js';

/** How a trained network is used, as commander gives it. */
export interface TestTimeFlags {
  prefix?: string | undefined;
  flips?: boolean | undefined;
  crops?: string | undefined;
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
