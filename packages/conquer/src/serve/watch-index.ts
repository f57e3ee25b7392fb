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
 * Looks from time to time whether the index on the disk is another one. At the first look it may be, since it was opened.
 *
 * @param interval milliseconds between two looks
 * @param onChange is waited for before the next look, and called again at it where it gives false
 * @returns to be disposed when nobody is interested any more
 */
export function watchIndex(path: string, interval: number, onChange: () => Promise<boolean>): Disposable {
  let last: string | null = null;
  let busy = false;
  const timer = setInterval(async () => {
    const now = indexVersion(path);
    if (busy || now === null || now === last) return;
    busy = true;
    if (await onChange()) last = now;
    busy = false;
  }, interval);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
