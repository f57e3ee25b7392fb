import { UserError } from '@conquer-dml/run';
import { Generator, useDeterministicAlgorithms } from '@conquer-dml/torch';

/**
 * Sees to it that a device is there, and that a card gives the same numbers each time: a run that was interrupted and goes
 * on has to give those of one that was not.
 *
 * @param device 'cpu', 'cuda' or, of several cards, 'cuda:0', …
 * @throws UserError for another name, or a card that is not there
 */
export function prepareDevice(device: string): void {
  if (!/^(cpu|cuda(:\d+)?)$/.test(device))
    throw new UserError(
      `expected the device cpu, cuda, or one of several cards such as cuda:0, got '${device}'`,
    );
  if (device === 'cpu') return;
  useDeterministicAlgorithms(true);
  try {
    new Generator(0, device);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}
