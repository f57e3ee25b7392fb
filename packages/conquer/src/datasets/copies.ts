import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { fragmentOfImage } from '@conquer-dml/image';
import { fileOfImage, partOfImage } from '@conquer-dml/run';

/** A file by a path, and its size in bytes. */
export interface SizedFile {
  path: string;
  size: number;
}

/** Files of which another has the same size, and bytes to read of them, beyond which nothing is compared. */
export const MOST_COMPARED = { files: 20_000, bytes: 2 ** 30 };

/** Of each such file this much is read first, at its end, where image files of one size differ. */
const TAIL = 4096;
/** Files read at once. */
const AT_ONCE = 32;

/**
 * Files of equal bytes, or the same boxes in such. Only those of equal size are read at all, and to the end only those that also end alike.
 *
 * @param files distinct; empty ones are no copies of each other
 * @returns groups of two or more, by positions; null where there is too much to read, see MOST_COMPARED
 */
export async function findCopies(files: readonly SizedFile[]): Promise<number[][] | null> {
  const bySize = groups(
    [...files.keys()],
    (i) => `${files[i]!.size}${fragmentOfImage(files[i]!.path)}`,
  ).filter(([i]) => files[i!]!.size > 0);
  const candidates = bySize.flat();
  if (candidates.length > MOST_COMPARED.files) return null;
  const tails = await hashes(candidates, (i) => tailOf(files[i]!));
  const alike = groups(
    candidates,
    (i) => `${files[i]!.size} ${tails.get(i)} ${fragmentOfImage(files[i]!.path)}`,
  );
  const long = alike.flat().filter((i) => files[i]!.size > TAIL);
  if (long.reduce((bytes, i) => bytes + files[i]!.size, 0) > MOST_COMPARED.bytes) return null;
  const wholes = await hashes(long, (i) => wholeOf(files[i]!));
  return groups(
    alike.flat(),
    (i) => `${files[i]!.size} ${tails.get(i)} ${wholes.get(i)} ${fragmentOfImage(files[i]!.path)}`,
  );
}

/** Positions of one key together, where there are at least two; in their order. */
function groups(positions: readonly number[], keyOf: (position: number) => unknown): number[][] {
  const found = new Map<unknown, number[]>();
  for (const position of positions) {
    const key = keyOf(position);
    const known = found.get(key);
    if (known) known.push(position);
    else found.set(key, [position]);
  }
  return [...found.values()].filter(({ length }) => length > 1);
}

/** Of each position; a file that cannot be read has a hash of its own. */
async function hashes(
  positions: readonly number[],
  hashOf: (position: number) => Promise<string>,
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (let start = 0; start < positions.length; start += AT_ONCE) {
    const some = positions.slice(start, start + AT_ONCE);
    const each = await Promise.all(some.map((i) => hashOf(i).catch(() => `unreadable ${i}`)));
    for (const [i, position] of some.entries()) found.set(position, each[i]!);
  }
  return found;
}

async function tailOf({ path, size }: SizedFile): Promise<string> {
  const file = await open(fileOfImage(path));
  try {
    const tail = Buffer.alloc(Math.min(TAIL, size));
    const { bytesRead } = await file.read(tail, 0, tail.length, startOf(path) + Math.max(0, size - TAIL));
    return createHash('sha256').update(tail.subarray(0, bytesRead)).digest('hex');
  } finally {
    await file.close();
  }
}

async function wholeOf({ path, size }: SizedFile): Promise<string> {
  const hash = createHash('sha256');
  const start = startOf(path);
  for await (const chunk of createReadStream(fileOfImage(path), { start, end: start + size - 1 }))
    hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Where an image begins in its file. @throws RangeError for one in a row of a Parquet file, whose bytes do not lie there as they are */
function startOf(path: string): number {
  const part = partOfImage(path);
  if (part === 'row') throw new RangeError(`${path} is no part of a file`);
  return part?.offset ?? 0;
}
