import { Interrupted } from './interrupted.js';

/**
 * Whether long work is to end. An AbortSignal is one. Synchronous work looks at it between two portions, of some 100 ms at
 * most, and hears no message meanwhile: what is to end it from outside has to be of another thread, and `aborted` to read
 * memory that both threads have.
 */
export interface StopCheck {
  readonly aborted: boolean;
}

/** @throws Interrupted where the work is to end */
export function checkStop(stop: StopCheck | undefined): void {
  if (stop?.aborted) throw new Interrupted('stopped within a long computation');
}
