import { type ProcessGroup, ProcessGroupError } from '@conquer-dml/torch';
import { Interrupted } from '../interrupted.js';

/**
 * Leaves the group where `work` fails, so that the others end too: for its reason, of which they are told, or in peace where the reason
 * is theirs, or all are told to end.
 *
 * @throws what `work` throws
 */
export async function leaveOnFailure<T>(group: ProcessGroup, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isOurs = !(error instanceof Interrupted) && !(error instanceof ProcessGroupError);
    group.leave(isOurs ? (error as Error).message.split('\n')[0] : '');
    throw error;
  }
}
