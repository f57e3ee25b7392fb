import { IndexFolder } from '@conquer-dml/run';

/** Which write of an index is on the disk; null: there is none that can be read. */
export function indexVersion(path: string): string | null {
  try {
    return new IndexFolder(path).manifest().version;
  } catch {
    return null;
  }
}

/**
 * Looks from time to time whether the index on the disk is another one.
 *
 * @param interval milliseconds between two looks
 * @param onChange is waited for before the next look
 * @returns to be disposed when nobody is interested any more
 */
export function watchIndex(path: string, interval: number, onChange: () => Promise<void>): Disposable {
  let last = indexVersion(path);
  let busy = false;
  const timer = setInterval(async () => {
    const now = indexVersion(path);
    if (busy || now === null || now === last) return;
    busy = true;
    last = now;
    await onChange();
    busy = false;
  }, interval);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
