import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../error.js';
import type { Json } from '../json.js';
import { givenFolder, type IndexOrigin, likeliestFolder, sampled } from './index-contents.js';
import type { IndexedImage, IndexItem } from './index-item.js';
import type { IndexedPreprocessing } from './preprocessing.js';

// An index as earlier versions wrote it: one safetensors file, of which this reads what it holds besides its rows.

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

/** What an earlier index holds besides its rows. */
export interface EarlierContents {
  items: IndexItem[];
  /** How rows were compared: those of 'cosine' are of length 1. */
  metric: 'euclidean' | 'cosine';
  origin: IndexOrigin | null;
}

/**
 * The contents of an index of an earlier format, by the fields of its file. Its folder and its run are found
 * where they were, or where they lie as seen from the file, if all were moved together.
 *
 * @param count N, of its rows
 * @throws UserError when it is no index or damaged, or the folder that is given is another one
 */
export function indexContents(
  fields: IndexFields,
  count: number,
  { file, folder: given }: IndexPlace,
): EarlierContents {
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
  const images = sampled(items.length, (place) => items[place]!.images[0]!);
  const origin = originOf(metadata, images, file, given);
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
      labels: labels[i] ? [labels[i]] : [],
      payload: payloads[i] ? payloadOf(payloads[i], id) : null,
      images: [{ path: paths[i] || null, stamp: Number.isNaN(size) ? null : { size, modified } }],
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
  images: readonly IndexedImage[],
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
    folder: given === undefined ? likeliestFolder(folders, images) : givenFolder(given, images, file),
    embedder,
    source: sources.find((path) => existsSync(path)) ?? run ?? null,
    checkpoint: checkpoint === 'last' || checkpoint === 'best' ? checkpoint : null,
    preprocessing: preprocessing ? (JSON.parse(preprocessing) as IndexedPreprocessing) : null,
  };
}
