import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { fragmentOfImage } from '@conquer-dml/image';
import { fileOfImage, partOfImage } from '@conquer-dml/run';

/** Files of which another has the same size, and bytes to read of them, beyond which nothing is compared. */
export const MOST_COMPARED = { files: 20_000, bytes: 2 ** 30 };

/** Of each such file this much is read first, at its end, where image files of one size differ. */
const TAIL = 4096;
/** Files read at once. */
const AT_ONCE = 32;

/**
 * Files of equal bytes, or the same boxes in such. Only those of equal size are read at all, and to the end only those that also end alike.
 *
 * @param paths of N distinct files; empty ones are no copies of each other
 * @param sizes (N,) in bytes
 * @returns groups of two or more, by positions; null where there is too much to read, see MOST_COMPARED
 */
export async function findCopies(
  paths: readonly string[],
  sizes: ArrayLike<number>,
): Promise<number[][] | null> {
  // A number alone where it is enough: a million files have a million sizes.
  const fragmentOf = (i: number) => (paths[i]!.includes('#') ? fragmentOfImage(paths[i]!) : '');
  const sizeOf = (i: number) => {
    const fragment = fragmentOf(i);
    return fragment === '' ? sizes[i]! : `${sizes[i]}${fragment}`;
  };
  const counts = new Map<number | string, number>();
  for (const i of paths.keys()) counts.set(sizeOf(i), (counts.get(sizeOf(i)) ?? 0) + 1);
  const ofSize = [...paths.keys()].filter((i) => sizes[i]! > 0 && counts.get(sizeOf(i))! > 1);
  if (ofSize.length > MOST_COMPARED.files) return null;
  // Size by size, as the files are read.
  const candidates = groups(ofSize, sizeOf).flat();
  const tails = await hashes(candidates, (i) => tailOf(paths[i]!, sizes[i]!));
  const endOf = (i: number) => `${sizes[i]} ${tails.get(i)} ${fragmentOf(i)}`;
  const alike = groups(candidates, endOf).flat();
  const long = alike.filter((i) => sizes[i]! > TAIL);
  if (long.reduce((bytes, i) => bytes + sizes[i]!, 0) > MOST_COMPARED.bytes) return null;
  const wholes = await hashes(long, (i) => wholeOf(paths[i]!, sizes[i]!));
  return groups(alike, (i) => `${endOf(i)} ${wholes.get(i)}`);
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

async function tailOf(path: string, size: number): Promise<string> {
  const file = await open(fileOfImage(path));
  try {
    const tail = Buffer.alloc(Math.min(TAIL, size));
    const { bytesRead } = await file.read(tail, 0, tail.length, startOf(path) + Math.max(0, size - TAIL));
    return createHash('sha256').update(tail.subarray(0, bytesRead)).digest('hex');
  } finally {
    await file.close();
  }
}

async function wholeOf(path: string, size: number): Promise<string> {
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
