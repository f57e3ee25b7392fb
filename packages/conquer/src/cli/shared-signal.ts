import type { MessagePort } from 'node:worker_threads';
import { Interrupted } from '../interrupted.js';

/**
 * An AbortSignal that another thread aborts: what waits hears of it by a message, and a synchronous loop, which hears no
 * message, sees it in the memory that both threads have.
 *
 * @param stop one number, set by `abortShared`
 * @param port which `abortShared` posts to
 */
export function sharedSignal(stop: SharedArrayBuffer, port: MessagePort): AbortSignal {
  const flag = new Int32Array(stop);
  const controller = new AbortController();
  port.on('message', () => controller.abort(new Interrupted('stopped before the run began')));
  const { signal } = controller;
  return Object.defineProperty(signal, 'aborted', { get: () => Atomics.load(flag, 0) !== 0 });
}

/** Aborts the signal of another thread. */
export function abortShared(stop: SharedArrayBuffer, port: Pick<MessagePort, 'postMessage'>): void {
  Atomics.store(new Int32Array(stop), 0, 1);
  port.postMessage('stop');
}
