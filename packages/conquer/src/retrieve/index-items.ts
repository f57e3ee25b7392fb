import { join, resolve } from 'node:path';
import type { ImageInput } from '@conquer-dml/image';
import {
  type FileStamp,
  type IndexedImage,
  type IndexItem,
  type IndexOrigin,
  isIndexOf,
  isSeenAlike,
  type Json,
} from '@conquer-dml/run';
import { tensor } from '@conquer-dml/torch';
import type { AnyIndex } from './any-index.js';
import { changeIndex, changeStore, type ItemChange } from './change-items.js';
import { embedInPortions, type PortionOptions } from './embed-in-portions.js';
import type { Embedder } from './embedder.js';
import { ImageIndex } from './image-index.js';
import type { KnownItems } from './known-items.js';
import { StoreIndex } from './store-index.js';

/** An image of an item: a file of the index's folder, or bytes or pixels of anywhere. */
export type ImageToIndex = { path: string; stamp: FileStamp } | { image: ImageInput };

/** An item and its images, which are still to be embedded. */
export interface ItemToIndex {
  id: string;
  labels?: readonly string[] | undefined;
  payload?: Json | undefined;
  images: readonly ImageToIndex[];
}

/** The progress is of images that are new or changed. Whoever has saved the index removes `keepIn`. */
export interface IndexItemsOptions<Index extends AnyIndex = ImageIndex> extends PortionOptions {
  /**
   * An index of the same folder, wherever it lay then, by the same embedder: it is changed into what is wanted now, and of its
   * images those that have not changed are not embedded again. One of another folder or embedder is not used, and stays as it is;
   * one in a store is refused then, as nothing else is there to be filled.
   */
  previous?: Index | null;
}

export interface IndexedItems<Index extends AnyIndex = ImageIndex> {
  /** The previous index, where it was used, or a new one. It belongs to the caller, who saves or searches it. */
  index: Index;
  /** Images that were embedded now; the others were in the previous index. */
  embedded: number;
  /** Of these, those whose rows were there from an interrupted call. */
  kept: number;
  /** Places, among all images in their order, of those that could not be read. */
  bad: readonly number[];
}

/** Where rows of an embedder come from. */
export function originOf(embedder: Embedder, folder: string): IndexOrigin {
  const { id, view, source = null, checkpoint = null } = embedder;
  return { folder, embedder: id, source, checkpoint, preprocessing: view };
}

/**
 * The previous index, if its rows are of use: of the same folder, embedder, and what that sees.
 * @throws UserError for one in a store that is not
 */
export async function usable<Index extends AnyIndex>(
  previous: Index | null | undefined,
  embedder: Embedder,
  folder: string,
): Promise<Index | null> {
  if (previous instanceof StoreIndex) {
    await previous.requireSpaceFor(embedder, folder);
    return previous;
  }
  const origin = previous?.origin;
  if (!previous || origin?.embedder !== embedder.id || !isSeenAlike(origin.preprocessing, embedder.view))
    return null;
  const sample = (previous as ImageIndex).sample;
  return isIndexOf({ origin, sample }, folder) ? previous : null;
}

/** What is known of the items of an index, at once. */
export const knownItems = async (index: AnyIndex | null): Promise<KnownItems | null> =>
  index instanceof StoreIndex ? await index.known() : index;

/**
 * Makes an index of some items, or changes one into that. Items that are of no file and of no id that is wanted stay; those that
 * are of files go where they are no longer wanted.
 *
 * @param folder that paths are relative to
 * @param items each id once
 * @throws ImageError naming the first image that cannot be read, if these are not left out; Interrupted after `signal` was aborted
 */
export async function indexItems<Index extends AnyIndex = ImageIndex>(
  embedder: Embedder,
  folder: string,
  items: readonly ItemToIndex[],
  options: IndexItemsOptions<Index> = {},
): Promise<IndexedItems<Index>> {
  const before = await usable(options.previous, embedder, folder);
  const known = await knownItems(before);
  const wanted = items.flatMap((item, at) => {
    const was = known?.item(item.id);
    return item.images.map((image, place) => ({ at, image, old: was ? oldPlace(was, image, place) : -1 }));
  });
  const fresh = wanted.flatMap((one, place) => (one.old < 0 ? [{ ...one, place }] : []));
  const at = resolve(folder);
  const made = await embedInPortions(
    embedder,
    fresh.map(({ image }) => {
      if ('image' in image) return { image: image.image, file: null };
      const path = join(at, image.path);
      return { image: path, file: { path, stamp: image.stamp } };
    }),
    options,
  );
  const bad = new Set([...made.bad].map((n) => fresh[n]!.place));
  using embedded = tensor(made.rows, { shape: [fresh.length - bad.size, embedder.dim] }).keep();
  const rowAt = new Map(
    fresh.filter(({ place }) => !bad.has(place)).map(({ place }, row) => [place, row] as const),
  );

  const changes: ItemChange[] = [];
  const kept = new Set<string>();
  let place = 0;
  for (const [at, item] of items.entries()) {
    const first = place;
    while (place < wanted.length && wanted[place]!.at === at) place++;
    const there = wanted
      .slice(first, place)
      .flatMap((one, i) => (bad.has(first + i) ? [] : [{ ...one, made: rowAt.get(first + i) ?? -1 }]));
    if (there.length === 0) continue;
    kept.add(item.id);
    const next: IndexItem = {
      id: item.id,
      labels: item.labels ?? [],
      payload: item.payload ?? null,
      images: there.map(({ image }) => imageOf(image)),
    };
    const was = known?.item(item.id);
    const isSame = there.length === was?.images.length && there.every(({ old }, i) => old === i);
    if (isSame && JSON.stringify(was) === JSON.stringify(next)) continue;
    changes.push({ item: next, isSame, rows: there.map(({ old, made }) => ({ old, made })) });
  }
  const gone: string[] = [];
  for (const { id, images } of known?.items() ?? [])
    if (!kept.has(id) && images.some(({ path }) => isInFolder(path))) gone.push(id);

  const origin = originOf(embedder, folder);
  const counts = { embedded: fresh.length - bad.size, kept: made.kept, bad: [...bad] };
  if (before instanceof StoreIndex) {
    await before.moved(origin);
    await changeStore(before, { changes, gone, embedded });
    return { index: before, ...counts };
  }
  const index: ImageIndex = (before as ImageIndex | null) ?? ImageIndex.empty(embedder.dim, origin);
  if (before) index.moved(origin);
  changeIndex(index, { changes, gone, embedded });
  // A store is never null here.
  return { index: index as Index, ...counts };
}

/** Which of an item's images this was, unchanged; −1: none. */
function oldPlace(was: IndexItem, image: ImageToIndex, place: number): number {
  if ('image' in image) return -1;
  const same = ({ path, stamp }: IndexedImage) =>
    path === image.path && stamp?.size === image.stamp.size && stamp.modified === image.stamp.modified;
  return was.images[place] && same(was.images[place]) ? place : was.images.findIndex(same);
}

const imageOf = (image: ImageToIndex): IndexedImage =>
  'image' in image ? { path: null, stamp: null } : { path: image.path, stamp: image.stamp };

/** Whether an image is one of the index's folder: not of an item without a file, or that came with an index of another folder. */
export const isInFolder = (path: string | null): path is string =>
  path !== null && path !== '..' && !path.startsWith('../');
