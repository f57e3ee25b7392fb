import { resolve } from 'node:path';
import { UserError } from '@conquer-dml/run';
import type { OwnInGallery } from '../own-in-gallery.js';
import { readTextFile } from './text-file.js';

/** Images by their absolute paths, and those that are all but the same. */
export type NearDuplicates = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Pairs of images that are all but the same, as `conquer duplicates` prints them: a line of JSON for each.
 *
 * @throws UserError where it cannot be read, or a line is no such pair
 */
export async function readNearDuplicates(file: string): Promise<NearDuplicates> {
  const text = await readTextFile(file, 'lines of JSON of conquer duplicates');
  const all = new Map<string, Set<string>>();
  const add = (image: string, other: string) => {
    const known = all.get(image);
    if (known) known.add(other);
    else all.set(image, new Set([other]));
  };
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const [first, second] = pairIn(line, `${file}, line ${at + 1}`);
    add(first, second);
    add(second, first);
  }
  return all;
}

function pairIn(line: string, where: string): [first: string, second: string] {
  let pair: { first?: { path?: unknown }; second?: { path?: unknown } } | null = null;
  try {
    pair = JSON.parse(line);
  } catch {
    // It is said below.
  }
  const [first, second] = [pair?.first?.path, pair?.second?.path];
  if (typeof first !== 'string' || typeof second !== 'string')
    throw new UserError(
      `${where}: expected a pair of images with their paths, as a line of JSON of conquer duplicates has them, got ${JSON.stringify(line.slice(0, 60))}`,
    );
  return [resolve(first), resolve(second)];
}

/** Of each query where in the gallery its near-duplicates stand. @param queries paths, as of `gallery` */
export function placesOfDuplicates(
  duplicates: NearDuplicates,
  queries: readonly string[],
  gallery: readonly string[],
): OwnInGallery {
  const places = new Map(gallery.map((path, place) => [resolve(path), place]));
  return new Map(
    [...queries.entries()].flatMap(([query, path]) => {
      const found = [...(duplicates.get(resolve(path)) ?? [])].flatMap((other) => places.get(other) ?? []);
      return found.length > 0 ? [[query, found] as const] : [];
    }),
  );
}
