/**
 * A mistake of the user: an option, folder or file that cannot work. Its message is one line that says what
 * was expected, what came, and what to do; the command line prints it alone, without a stack trace.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** Training was asked to stop (Ctrl-C) and did, after the step it was in; its run can be resumed. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}
