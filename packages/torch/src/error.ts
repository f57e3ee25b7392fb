/**
 * A call into libtorch that failed. The message names the operator, what it was given (shapes and dtypes) and
 * libtorch's own words, without its backtrace.
 */
export class TorchError extends Error {
  override name = 'TorchError';
}
