/** A mistake of the person who starts the dashboard; conquer's command line prints the message alone, by this name. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
