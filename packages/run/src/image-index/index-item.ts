import type { Json } from '../json.js';

/** A file as it stood: when one of the numbers differs, it has changed. */
export interface FileStamp {
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/** One of an item's images, of which the index holds a row. */
export interface IndexedImage {
  /** Relative to the index's folder. null: it is of no file there. */
  path: string | null;
  /** That file as it was when it was embedded. */
  stamp: FileStamp | null;
}

/** What an index holds rows of. */
export interface IndexItem {
  /** Its name, by which it is found and removed; each is there once. Of a folder's image its path, with / between its parts. */
  id: string;
  /** Its classes, none or more; the first is what it is classified as. */
  labels: readonly string[];
  /** Whatever else is to come back with it. null: nothing. */
  payload: Json;
  /** At least one, in the order of its rows. */
  images: readonly IndexedImage[];
}

/** An item of one's own. */
export interface NewIndexItem {
  id: string;
  /** A class, or several; none when left out. */
  labels?: string | readonly string[] | undefined;
  payload?: Json | undefined;
  /** How many of the rows are its images; default 1. */
  images?: number | undefined;
}

/** An image of no file. */
export const NO_FILE: IndexedImage = { path: null, stamp: null };

/**
 * An item of one's own, whole.
 * @param place in the list that was given
 * @throws TypeError where the id or a label is no text, or the payload no JSON; RangeError where a text is empty or holds a
 *   zero, or it has no image
 */
export function indexItem(item: NewIndexItem, place: number): IndexItem {
  const { id, labels = [], payload = null, images = 1 } = item;
  const all = typeof labels === 'string' ? [labels] : labels;
  if (!Array.isArray(all))
    throw new TypeError(
      `the item ${place} to index: expected a text or a list of texts as its labels, got ${typeof labels}`,
    );
  for (const [what, text] of [['id', id], ...all.map((label: unknown) => ['label', label])]) {
    if (typeof text !== 'string')
      throw new TypeError(`the item ${place} to index: expected a string as its ${what}, got ${typeof text}`);
    if (text === '' || text.includes('\0'))
      throw new RangeError(
        `the item ${place} to index: expected its ${what} not to be empty nor to hold a zero`,
      );
  }
  try {
    if (JSON.stringify(payload) === undefined) throw new TypeError(`got ${typeof payload}`);
  } catch (error) {
    throw new TypeError(`the item ${id} to index: expected JSON as its payload: ${(error as Error).message}`);
  }
  if (!Number.isSafeInteger(images) || images < 1)
    throw new RangeError(`the item ${id} to index: expected 1 image or more, got ${images}`);
  return { id, labels: all, payload, images: Array.from({ length: images }, () => NO_FILE) };
}

/** An item as a line of JSON, without what is not there. */
export function itemLine({ id, labels, payload, images }: IndexItem): string {
  return `${JSON.stringify({
    id,
    ...(labels.length > 0 && { labels }),
    ...(payload !== null && { payload }),
    images: images.map(({ path, stamp }) => ({ ...(path !== null && { path }), ...stamp })),
  })}\n`;
}

interface ItemLine {
  id: string;
  labels?: string[];
  payload?: Json;
  images: { path?: string; size?: number; modified?: number }[];
}

/** The other way. @throws SyntaxError or TypeError where it is none */
export function itemOfLine(line: string): IndexItem {
  const { id, labels = [], payload = null, images } = JSON.parse(line) as ItemLine;
  return {
    id,
    labels,
    payload,
    images: images.map(({ path = null, size, modified }) => ({
      path,
      stamp: size === undefined || modified === undefined ? null : { size, modified },
    })),
  };
}
