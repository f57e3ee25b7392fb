import type { Json } from '../json.js';

/** A file as it stood: when one of the numbers differs, it has changed. */
export interface FileStamp {
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/** What an index holds a row of. */
export interface IndexItem {
  /** Its name, by which it is found and removed; each is there once. Of a folder's image its path, with / between its parts. */
  id: string;
  /** Its class. null: it has none. */
  label: string | null;
  /** Whatever else is to come back with it. null: nothing. */
  payload: Json;
  /** Of its image, relative to the index's folder. null: it is of no file there. */
  path: string | null;
  /** That file as it was when it was embedded. */
  stamp: FileStamp | null;
}

/** An item of one's own. */
export interface NewIndexItem {
  id: string;
  label?: string | null | undefined;
  payload?: Json | undefined;
}

/**
 * An item of one's own, whole.
 * @param place in the list that was given
 * @throws TypeError where the id or the label is no text, or the payload no JSON; RangeError where a text is empty or holds a
 *   zero, which ends it in a file
 */
export function indexItem({ id, label = null, payload = null }: NewIndexItem, place: number): IndexItem {
  for (const [what, text] of Object.entries({ id, ...(label !== null && { label }) })) {
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
  return { id, label, payload, path: null, stamp: null };
}
