import { UserError } from '@conquer-dml/run';

// Of arrays, in V8's words, which are RangeErrors like others.
const noArray = /^(Array buffer allocation failed|Invalid (typed array|array buffer) length)/;

/** Whether an error says that memory was not to be had: libtorch's or a card's, or JavaScript's own. */
export function isOutOfMemory(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return error.name === 'OutOfMemoryError' || (error instanceof RangeError && noArray.test(error.message));
}

/**
 * What to throw where `error` was caught: in the words of who asked for the memory if there was none, else as it is.
 *
 * @param doing what was being done, with how much, and what would need less
 */
export function inWords(error: unknown, doing: string): unknown {
  return isOutOfMemory(error) ? new UserError(`out of memory: ${doing}`, { cause: error }) : error;
}
