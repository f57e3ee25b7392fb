/** Training was asked to stop (Ctrl-C) and did, after the step it was in; its run can be resumed. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}
