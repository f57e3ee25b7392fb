import { existsSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { UserError } from '../error.js';
import type { Json } from '../json.js';
import { type ImageIndexContents, type IndexOrigin, shareIn } from './index-contents.js';
import type { IndexItem } from './index-item.js';
import type { IndexedPreprocessing } from './preprocessing.js';

// What an index's safetensors file holds besides its rows; docs/search.md lists it.

const FORMAT = 'conquer-index-3';
/** Of images alone, whose paths are their ids: without labels, payloads and a metric. */
const OF_IMAGES = 'conquer-index-2';
/** And without what was seen of an image, and where folder and run lie from the file. */
const OLDEST = 'conquer-index-1';

/** Tensors of bytes: N texts in UTF-8 with a zero between them, empty where there is none. */
export const indexTexts = ['ids', 'paths', 'labels', 'payloads'] as const;
type TextName = (typeof indexTexts)[number];

/** The file's metadata and tensors, without its rows. */
export interface IndexFields {
  metadata: Readonly<Record<string, string>>;
  texts: ReadonlyMap<TextName, Uint8Array>;
  /** float64 (N, 2), bytes and milliseconds since 1970, NaN for what is of no file; undefined: it has none. */
  stamps: Float64Array | undefined;
}

/** What is known of the file itself. */
export interface IndexPlace {
  file: string;
  /** Where the folder of images is now; by default where it was, or where it lies as seen from the file. */
  folder?: string | undefined;
}

/**
 * The contents of an index of this format or an earlier one, by the fields of its file. Its folder and its run are found
 * where they were, or where they lie as seen from the file, if all were moved together.
 *
 * @param count N, of its rows
 * @throws UserError when it is no index or damaged, or the folder that is given is another one
 */
export function indexContents(
  fields: IndexFields,
  count: number,
  { file, folder: given }: IndexPlace,
): ImageIndexContents {
  const { metadata, texts, stamps } = fields;
  const { format, folder, run, sha256 } = metadata;
  const fits =
    format === FORMAT
      ? texts.has('ids')
      : (format === OF_IMAGES || format === OLDEST) && folder && run && sha256;
  if (!fits || !texts.has('paths') || !stamps)
    throw new UserError(
      `${file} is no index of images: expected one that conquer index wrote (${FORMAT}), got ${format ?? 'another file'}`,
    );
  const items = itemsOf(texts, stamps, count);
  if (given !== undefined && shareIn(given, items) === 0)
    throw new UserError(
      `${resolve(given)} holds none of the ${items.length} images of ${file}: expected the folder that they are in now`,
    );
  const origin = originOf(metadata, items, file, given);
  return { items, metric: metadata.metric === 'cosine' ? 'cosine' : 'euclidean', origin };
}

function itemsOf(texts: IndexFields['texts'], stamps: Float64Array, count: number): IndexItem[] {
  const listed = (name: TextName): string[] => {
    const bytes = texts.get(name);
    if (!bytes) return new Array<string>(Math.max(0, count)).fill('');
    return count === 0 ? [] : new TextDecoder().decode(bytes).split('\0');
  };
  const paths = listed('paths');
  const ids = texts.has('ids') ? listed('ids') : paths;
  const labels = listed('labels');
  const payloads = listed('payloads');
  const lengths = [ids, paths, labels, payloads].map(({ length }) => length);
  if (stamps.length !== 2 * count || lengths.some((length) => length !== count))
    throw new UserError(
      `it holds ${lengths[0]} ids, ${lengths[1]} paths, ${stamps.length} stamps and ${count} rows`,
    );
  return ids.map((id, i): IndexItem => {
    const [size, modified] = [stamps[2 * i]!, stamps[2 * i + 1]!];
    return {
      id,
      label: labels[i] || null,
      payload: payloads[i] ? payloadOf(payloads[i], id) : null,
      path: paths[i] || null,
      stamp: Number.isNaN(size) ? null : { size, modified },
    };
  });
}

function payloadOf(text: string, id: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UserError(`the payload of ${id} is no JSON: ${(error as Error).message}`);
  }
}

function originOf(
  metadata: Readonly<Record<string, string>>,
  items: readonly IndexItem[],
  file: string,
  given: string | undefined,
): IndexOrigin | null {
  const { folder, run, sha256, checkpoint, preprocessing } = metadata;
  const embedder = sha256 ?? metadata.embedder;
  if (!folder || !embedder) return null;
  const fromHere = (path: string | undefined) => (path === undefined ? [] : [resolve(dirname(file), path)]);
  const folders = [folder, ...fromHere(metadata.relative_folder)];
  const sources = run === undefined ? [] : [run, ...fromHere(metadata.relative_run)];
  return {
    folder: given === undefined ? likeliest(folders, items) : resolve(given),
    embedder,
    source: sources.find((path) => existsSync(path)) ?? run ?? null,
    checkpoint: checkpoint === 'last' || checkpoint === 'best' ? checkpoint : null,
    preprocessing: preprocessing ? (JSON.parse(preprocessing) as IndexedPreprocessing) : null,
  };
}

/** The folder that holds most of the files, the first of equals. */
function likeliest(folders: readonly string[], items: readonly IndexItem[]): string {
  const shares = [...new Set(folders)].map((folder) => ({ folder, share: shareIn(folder, items) }));
  return shares.reduce((best, next) => (next.share > best.share ? next : best)).folder;
}

/** The other way: what is written into `file`. */
export function indexFields(
  { items, metric, origin }: ImageIndexContents,
  file: string,
): IndexFields & { stamps: Float64Array } {
  const here = dirname(resolve(file));
  const listed = (of: (item: IndexItem) => string) => new TextEncoder().encode(items.map(of).join('\0'));
  const texts = new Map<TextName, Uint8Array>([
    ['ids', listed(({ id }) => id)],
    ['paths', listed(({ path }) => path ?? '')],
  ]);
  if (items.some(({ label }) => label !== null))
    texts.set(
      'labels',
      listed(({ label }) => label ?? ''),
    );
  if (items.some(({ payload }) => payload !== null))
    texts.set(
      'payloads',
      listed(({ payload }) => (payload === null ? '' : JSON.stringify(payload))),
    );
  const stamps = new Float64Array(2 * items.length);
  for (const [i, { stamp }] of items.entries())
    stamps.set([stamp?.size ?? Number.NaN, stamp?.modified ?? Number.NaN], 2 * i);
  const metadata = { format: FORMAT, metric, ...(origin && whence(origin, here)) };
  return { metadata, texts, stamps };
}

/** Of a run's model its SHA-256 and where it is, of another embedder what it calls itself. */
function whence({ folder, ...origin }: IndexOrigin, here: string): Record<string, string> {
  const { embedder, source, checkpoint, preprocessing } = origin;
  return {
    folder,
    relative_folder: relative(here, folder),
    ...(source === null
      ? { embedder }
      : {
          sha256: embedder,
          run: source,
          ...(isAbsolute(source) && { relative_run: relative(here, source) }),
        }),
    ...(checkpoint && { checkpoint }),
    ...(preprocessing && { preprocessing: JSON.stringify(preprocessing) }),
  };
}
