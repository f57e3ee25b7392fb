import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isSystemError, writeFileAtomic } from '@conquer-dml/run';
import { Interrupted } from '../interrupted.js';

/** Files read at once. */
const AT_ONCE = 16;

export interface ContentHashOptions {
  /** Where the hashes of unchanged files are kept; null: nowhere. */
  memo: string | null;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The SHA-256 of each file's bytes, in hexadecimal; null where it cannot be read. A file that is as large and as old as when it was
 * last asked for is not read again.
 *
 * @param paths absolute
 * @throws Interrupted after `signal` was aborted
 */
export async function contentHashes(
  paths: readonly string[],
  { memo, onProgress, signal }: ContentHashOptions,
): Promise<(string | null)[]> {
  const known = memo === null ? new Map<string, string>() : readMemo(memo);
  const hashes: (string | null)[] = [];
  let added = 0;
  const one = async (path: string): Promise<string | null> => {
    try {
      const { size, mtimeMs } = await stat(path);
      const key = `${path}\0${size}\0${mtimeMs}`;
      const before = known.get(key);
      if (before !== undefined) return before;
      const hash = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
      known.set(key, hash);
      added++;
      return hash;
    } catch (error) {
      if (isSystemError(error)) return null; // decoding it says what is wrong
      throw error;
    }
  };
  for (let start = 0; start < paths.length; start += AT_ONCE) {
    if (signal?.aborted) throw new Interrupted('stopped while the photos were looked through');
    hashes.push(...(await Promise.all(paths.slice(start, start + AT_ONCE).map(one))));
    onProgress?.({ done: hashes.length, total: paths.length });
  }
  if (memo !== null && added > 0) {
    mkdirSync(dirname(memo), { recursive: true });
    writeFileAtomic(memo, `${JSON.stringify([...known])}\n`);
  }
  return hashes;
}

/** What cannot be read is made again. */
function readMemo(file: string): Map<string, string> {
  try {
    return new Map(JSON.parse(readFileSync(file, 'utf8')) as [string, string][]);
  } catch {
    return new Map();
  }
}
