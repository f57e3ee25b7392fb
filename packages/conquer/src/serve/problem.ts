/** Why a request has no answer, as HTTP says it. */
export class Problem extends Error {
  override name = 'Problem';

  /**
   * @param status 400 and more
   * @param message a line: what was expected, what came, what to do
   * @param retryAfter seconds after which the same request may have an answer
   */
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 500 | 501 | 503 | 504,
    message: string,
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}
