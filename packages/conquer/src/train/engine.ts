import { setNumThreads } from '@conquer-dml/torch';
import { prepareDevice } from '../device.js';
import type { Experiment } from '../experiment/experiment.js';
import { OptionError } from '../option-error.js';

/**
 * Sets libtorch up for what computes. Threads: null for the default of @conquer-dml/torch, OMP_NUM_THREADS, else one a core.
 *
 * @throws OptionError for threads or a device that cannot be had
 */
export function setUpEngine({
  train,
}: {
  train: Partial<Pick<Experiment['train'], 'threads' | 'device'>>;
}): void {
  const { threads = null, device } = train;
  naming('train.threads', () => threads === null || setNumThreads(threads));
  naming('train.device', () => device === undefined || prepareDevice(device));
}

function naming(path: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    throw new OptionError(path, (error as Error).message);
  }
}
