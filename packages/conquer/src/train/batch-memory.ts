import { totalmem } from 'node:os';
import { UserError } from '@conquer-dml/run';

/** Bytes of a pixel's three channels: as read, and as the floats that the network sees. */
const [READ, SEEN] = [3, 12];

/**
 * Refuses a batch whose images alone are more than the machine's memory, before anything is drawn or read: only to draw
 * so many takes minutes.
 *
 * @param batchSize images
 * @param imageSize their side in pixels
 * @param chunk of them that the network sees at a time; null: all
 * @throws UserError
 */
export function refuseBatchBeyondMemory(
  batchSize: number,
  imageSize: number,
  device: string,
  chunk: number | null,
): void {
  const seen = device === 'cpu' ? Math.min(batchSize, chunk ?? batchSize) : 0;
  const bytes = imageSize ** 2 * (batchSize * READ + seen * SEEN);
  // Without a limit of its own, a process is told 0 or more than there is.
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  if (bytes <= memory) return;
  const gigabytes = (count: number) => `${(count / 2 ** 30).toFixed(count < 10 * 2 ** 30 ? 1 : 0)} GiB`;
  throw new UserError(
    `out of memory: a batch of ${batchSize} images of ${imageSize} × ${imageSize} pixels takes ${gigabytes(bytes)}, and there are ${gigabytes(memory)}: expected a smaller batch or smaller images`,
  );
}
