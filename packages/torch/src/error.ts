import { SetupError } from '@conquer-dml/native/setup-error';

/**
 * A call into libtorch that failed. The message names the operator, what it was given (shapes and dtypes) and
 * libtorch's own words, without its backtrace.
 */
export class TorchError extends Error {
  override name = 'TorchError';
}

/** A call into libtorch that failed because memory, the machine's or a card's, was not to be had. */
export class OutOfMemoryError extends TorchError {
  override name = 'OutOfMemoryError';
}

/** Processes that were to compute together cannot: one is lost, or they do not call the same. The message is a line. */
export class ProcessGroupError extends Error {
  override name = 'ProcessGroupError';
}

// libtorch has no kind of error for it on the CPU: its allocator's words, C++'s and V8's, oneDNN's, CUDA's and its libraries'.
const outOfMemory =
  /can't allocate memory|not enough memory|bad_alloc|buffer allocation failed|could not create a memory|out of memory|_ALLOC_FAILED/i;

/** The error for a failure in the binding; that there is none says itself what to do. @param call what was called, with what */
export function torchError(call: string, failure: unknown): TorchError | SetupError {
  if (failure instanceof SetupError) return failure;
  const reason = failure instanceof Error ? failure.message : String(failure);
  const Kind = outOfMemory.test(reason) ? OutOfMemoryError : TorchError;
  return new Kind(`${call}: ${reason}`);
}

/** What `body` gives. @throws TorchError for what it throws; `call` is what it calls */
export function attempt<T>(call: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw torchError(call, error);
  }
}
