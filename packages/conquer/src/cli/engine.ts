import { availableParallelism } from 'node:os';
import {
  Generator,
  keepFreedMemory,
  setFlushDenormal,
  setNumThreads,
  useDeterministicAlgorithms,
} from '@conquer/torch';
import { UserError } from '../error.js';

/**
 * Sets libtorch up for a command that computes.
 *
 * @param threads null for one a core
 * @throws UserError for a device that is not there
 */
export function setUpEngine(threads: number | null, device = 'cpu'): void {
  // libtorch's own default takes some virtual machines for one core.
  setNumThreads(threads ?? availableParallelism());
  keepFreedMemory();
  // Adam's moments of weights that no longer get a gradient decay to denormals, which are many times slower.
  setFlushDenormal(true);
  if (device === 'cpu') return;
  // Else a run that was interrupted and goes on would not give the numbers of one that was not.
  useDeterministicAlgorithms(true);
  try {
    new Generator(0, device);
  } catch (error) {
    throw new UserError(`--device: ${(error as Error).message}`);
  }
}
