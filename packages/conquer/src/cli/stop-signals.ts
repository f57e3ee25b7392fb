import { Interrupted } from '../error.js';
import type { Output } from './terminal.js';

const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** SIGINT (Ctrl-C) and SIGTERM as an AbortSignal, until it is disposed. A second one ends the process at once. */
export class StopSignals {
  private readonly controller = new AbortController();
  readonly signal: AbortSignal = this.controller.signal;
  private readonly onSignal: (name: NodeJS.Signals) => void;

  constructor(out: Output) {
    this.onSignal = (name) => {
      process.exitCode = CODES[name as keyof typeof CODES];
      if (this.signal.aborted) process.exit();
      out.write('\nstopping after this step; press again to stop at once\n');
      // Whoever ends by the signal throws its reason.
      this.controller.abort(new Interrupted('stopped before the training began'));
    };
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, this.onSignal);
  }

  /** The work's result, unless a signal comes first: then it is left to itself, as the process ends. @throws Interrupted */
  async before<T>(work: Promise<T>): Promise<T> {
    let leave = () => {};
    const stopped = new Promise<never>((_, reject) => {
      leave = () => reject(this.signal.reason);
      if (this.signal.aborted) leave();
      this.signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([work, stopped]);
    } finally {
      this.signal.removeEventListener('abort', leave);
    }
  }

  [Symbol.dispose](): void {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, this.onSignal);
  }
}
