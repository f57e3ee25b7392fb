import type { RunFolder } from '@conquer-dml/run';

/** The lock of a run that is opened or made on the way, until it is disposed. */
export class RunLock {
  private unlock = () => {};

  /** @throws UserError when another process has the run */
  take(run: RunFolder): RunFolder {
    this.unlock = run.lock();
    return run;
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}
