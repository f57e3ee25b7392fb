import type { NativeOptions } from './binding.js';

export interface DecodeOptions extends NativeOptions {
  /**
   * Images handed to sharp at once: what is not a plain JPEG; default 128. As many run as libuv's pool has
   * threads (`UV_THREADPOOL_SIZE`, 4 by default). More than that keep the pool busy while the event loop is
   * blocked by a training step.
   */
  concurrency?: number | undefined;
}

/** Runs `work` on every item, `concurrency` at a time; after a failure nothing new starts and all is awaited. */
export async function forEachBounded<T>(
  items: readonly T[],
  { concurrency = 128, signal }: DecodeOptions,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < items.length && !failed) {
      signal?.throwIfAborted();
      const index = next++;
      await work(items[index] as T, index);
    }
  };
  const lanes = Array.from({ length: Math.max(1, Math.min(concurrency, items.length)) }, () =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
