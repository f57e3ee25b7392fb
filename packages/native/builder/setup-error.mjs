/** A mistake or a lack on the user's side: shown as one message, without a stack trace. */
export class SetupError extends Error {
  name = 'SetupError';
}
