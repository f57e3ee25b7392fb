import { noGrad, OpenScope } from '@conquer/torch';
import { Interrupted } from '../interrupted.js';

/** Long work in steps: between two of them it can be left, or wait. */
export type Steps<T> = Generator<void, T, void>;

/** Milliseconds of work after which the event loop gets a turn. */
const TURN = 100;

/** The work without a pause. */
export function inOneGo<T>(steps: Steps<T>): T {
  for (;;) {
    const next = steps.next();
    if (next.done) return next.value;
  }
}

/**
 * The work with pauses in which signals are heard: the event loop stands still within a step. What comes out is the same.
 *
 * @throws Interrupted after `signal` was aborted; what the work held is freed
 */
export async function withPauses<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
  let turn = performance.now();
  try {
    for (;;) {
      const next = steps.next();
      if (next.done) return next.value;
      if (signal?.aborted) throw new Interrupted('stopped within a long computation');
      if (performance.now() - turn < TURN) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turn = performance.now();
    }
  } finally {
    steps.return(undefined as T);
  }
}

/** The steps without gradients, in a scope of their own that is closed between them; see scope(). */
export function* inScope<T>(steps: Steps<T>): Steps<T> {
  const scope = new OpenScope();
  let result: T | undefined;
  try {
    for (;;) {
      const next = scope.run(() => noGrad(() => steps.next()));
      if (next.done) {
        result = next.value;
        return result;
      }
      yield;
    }
  } finally {
    steps.return(undefined as T);
    scope.end(result);
  }
}
