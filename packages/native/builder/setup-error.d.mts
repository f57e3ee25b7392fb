/** A mistake or a lack on the user's side. Its message is one line that says what to do. */
export class SetupError extends Error {}
