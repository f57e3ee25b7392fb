import { UserError } from '@conquer/run';
import { setNumThreads } from '@conquer/torch';
import { prepareDevice } from '../device.js';

/**
 * Sets libtorch up for a command that computes.
 *
 * @param threads null for the default of @conquer/torch: OMP_NUM_THREADS, else one a core
 * @throws UserError for threads or a device that cannot be had
 */
export function setUpEngine(threads: number | null, device = 'cpu'): void {
  naming('--threads', () => threads === null || setNumThreads(threads));
  naming('--device', () => prepareDevice(device));
}

function naming(option: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    throw new UserError(`${option}: ${(error as Error).message}`);
  }
}
