import { Interrupted } from '../interrupted.js';
import type { Output } from './terminal.js';

const CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const signals = Object.keys(CODES) as (keyof typeof CODES)[];

/**
 * SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal or the connection is gone) as an AbortSignal, until it is disposed. A
 * second one ends the process at once, but for SIGHUP: shell and system may both send it.
 */
export class StopSignals {
  private readonly controller = new AbortController();
  readonly signal: AbortSignal = this.controller.signal;
  private readonly onSignal: (name: NodeJS.Signals) => void;

  constructor(out: Output) {
    this.onSignal = (name) => {
      process.exitCode = CODES[name as keyof typeof CODES];
      if (this.signal.aborted && name === 'SIGHUP') return;
      if (this.signal.aborted) process.exit();
      out.write('\nstopping after this step; press again to stop at once\n');
      this.controller.abort();
    };
    for (const name of signals) process.on(name, this.onSignal);
  }

  [Symbol.dispose](): void {
    for (const name of signals) process.off(name, this.onSignal);
  }
}

/**
 * Does work that these signals end early, and that the same command goes on with.
 *
 * @throws Interrupted that says so
 */
export async function stoppable<T>(out: Output, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using stop = new StopSignals(out);
  try {
    return await work(stop.signal);
  } catch (error) {
    if (error instanceof Interrupted) throw new Interrupted('stopped; the same command goes on where it was');
    throw error;
  }
}
