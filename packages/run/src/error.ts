/**
 * A mistake of the user: an option, folder or file that cannot work. Its message is one line that says what
 * was expected, what came, and what to do; the command line prints it alone, without a stack trace.
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  /** @param message may quote a file: its line breaks and control characters become spaces */
  constructor(message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\p{Cc}+\s*/gu, ' '), options);
  }
}

/** Whether the operating system refused something: the disk is full, a folder may not be written to, … */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
