import { SHARE_ENV, Worker } from 'node:worker_threads';
import { builtModule, type Summary } from '@conquer-dml/run';
import { arrived } from '../carried-error.js';
import type { TrainObserver } from '../train/observer.js';
import { joinObservers } from '../train/observers.js';
import { abortShared } from './shared-signal.js';
import type { TrainingJob, TrainingMessage } from './training-thread.js';

/**
 * Trains in a thread of its own.
 *
 * @param observer told here of what happens there
 * @param signal ends the training; the run can be resumed
 * @throws what train() throws
 */
export async function trainInThread(
  job: Omit<TrainingJob, 'stop'>,
  observers: readonly TrainObserver[],
  signal: AbortSignal,
): Promise<Summary> {
  const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const workerData: TrainingJob = { ...job, stop };
  const worker = new Worker(builtModule('./training-thread.js', import.meta.url), {
    workerData,
    // What is set for libgomp has to reach it.
    env: SHARE_ENV,
  });
  const observer = joinObservers(observers) as Record<string, (...args: unknown[]) => void>;
  const abort = () => abortShared(stop, worker);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<Summary>((done, failed) => {
      worker.on('message', (message: TrainingMessage) => {
        if ('call' in message) observer[message.call]!(...message.args);
        else if ('summary' in message) done(message.summary);
        else failed(arrived(message.error));
      });
      worker.on('error', failed);
      worker.on('exit', (code) => failed(new Error(`the training's thread ended with ${code}`)));
    });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
