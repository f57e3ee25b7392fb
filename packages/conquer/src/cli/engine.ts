import { availableParallelism } from 'node:os';
import { keepFreedMemory, setFlushDenormal, setNumThreads } from '@conquer/torch';

/** Sets libtorch up for a command that computes. @param threads null for one a core */
export function setUpEngine(threads: number | null): void {
  // libtorch's own default takes some virtual machines for one core.
  setNumThreads(threads ?? availableParallelism());
  keepFreedMemory();
  // Adam's moments of weights that no longer get a gradient decay to denormals, which are many times slower.
  setFlushDenormal(true);
}
