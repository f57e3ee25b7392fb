import type { NativeOptions } from './binding.js';
import { ImageError } from './error.js';

export interface DecodeOptions extends NativeOptions {
  /**
   * Images handed to sharp at once: what is not a plain JPEG; default 128. As many run as libuv's pool has
   * threads (`UV_THREADPOOL_SIZE`, 4 by default). More than that keep the pool busy while the event loop is
   * blocked by a training step.
   */
  concurrency?: number | undefined;
  /**
   * Told of each image that cannot be read, in their order, with its place among those that were asked for; the others are
   * read all the same, and once. Without it the first one that is found is thrown, and the others are not to be used.
   */
  onBad?: ((error: ImageError, place: number) => void) | undefined;
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

/** The same over the places of images: one that cannot be read ends nothing where somebody is told of it. */
export async function forEachImage(
  places: readonly number[],
  options: DecodeOptions,
  work: (place: number) => Promise<void>,
): Promise<void> {
  const { onBad } = options;
  if (!onBad) return await forEachBounded(places, options, work);
  const bad = new Map<number, ImageError>();
  await forEachBounded(places, options, async (place) => {
    try {
      await work(place);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      bad.set(place, error);
    }
  });
  for (const [place, error] of [...bad].sort(([a], [b]) => a - b)) onBad(error, place);
}
