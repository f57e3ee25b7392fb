import { existsSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import {
  type ImageIndexContents,
  type IndexedPreprocessing,
  type IndexItem,
  type IndexOrigin,
  type Json,
  shareIn,
  UserError,
} from '@conquer/run';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@conquer/torch';
import { requireFiniteRows } from '../train/finite-rows.js';

const FORMAT = 'conquer-index-3';
/** Of images alone, whose paths are their ids: without labels, payloads and a metric. */
const OF_IMAGES = 'conquer-index-2';
/** And without what was seen of an image, and where folder and run lie from the file. */
const OLDEST = 'conquer-index-1';

/** An index as it is on the disk. The embeddings belong to whoever has it. */
export interface StoredIndex {
  contents: ImageIndexContents;
  /** float32 (N, D) */
  embeddings: Tensor;
}

/**
 * Reads an index of this format or an earlier one. Its folder and its run are found where they were, or where they lie as
 * seen from the file, if all were moved together.
 *
 * @param given where the folder of images is now
 * @throws UserError when the file is missing, damaged, or no index, or the folder that is given is another one
 */
export function readIndex(file: string, given: string | undefined): StoredIndex {
  let read: ReturnType<typeof readSafetensors>;
  try {
    read = readSafetensors(file);
  } catch (error) {
    throw new UserError(`the index cannot be read: ${(error as Error).message}`);
  }
  const { tensors, metadata } = read;
  const embeddings = tensors.get('embeddings');
  const { format, folder, run, sha256 } = metadata;
  const fits =
    format === FORMAT
      ? tensors.has('ids')
      : (format === OF_IMAGES || format === OLDEST) && folder && run && sha256;
  let kept = false;
  try {
    if (!embeddings || !fits || !tensors.has('paths') || !tensors.has('stamps'))
      throw new UserError(
        `${file} is no index of images: expected one that conquer index wrote (${FORMAT}), got ${format ?? 'another file'}`,
      );
    const items = itemsOf(tensors, embeddings);
    requireFiniteRows(embeddings, (row) => items[row]!.id);
    if (given !== undefined && shareIn(given, items) === 0)
      throw new UserError(
        `${resolve(given)} holds none of the ${items.length} images of ${file}: expected the folder that they are in now`,
      );
    const origin = originOf(metadata, items, file, given);
    kept = true;
    return {
      contents: { items, metric: metadata.metric === 'cosine' ? 'cosine' : 'euclidean', origin },
      embeddings,
    };
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(file)) throw error;
    throw new UserError(`${file}: ${message}; index the folder again`);
  } finally {
    for (const value of tensors.values()) if (!kept || value !== embeddings) value.dispose();
  }
}

function itemsOf(tensors: ReadonlyMap<string, Tensor>, embeddings: Tensor): IndexItem[] {
  const count = embeddings.ndim === 2 ? embeddings.size(0) : -1;
  const texts = (name: string): string[] => {
    const bytes = tensors.get(name)?.toTypedArray() as Uint8Array | undefined;
    if (!bytes) return new Array<string>(Math.max(0, count)).fill('');
    return count === 0 ? [] : new TextDecoder().decode(bytes).split('\0');
  };
  const paths = texts('paths');
  const ids = tensors.has('ids') ? texts('ids') : paths;
  const labels = texts('labels');
  const payloads = texts('payloads');
  const stamps = tensors.get('stamps')!.toTypedArray() as Float64Array;
  const lengths = [ids, paths, labels, payloads].map(({ length }) => length);
  if (stamps.length !== 2 * count || lengths.some((length) => length !== count))
    throw new UserError(
      `it holds ${lengths[0]} ids, ${lengths[1]} paths, ${stamps.length} stamps and embeddings [${embeddings.shape}]`,
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
  metadata: Record<string, string>,
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

/**
 * Writes one safetensors file, whole or not at all; docs/search.md says what is in it.
 * @throws SerializationError when it cannot be written
 */
export function writeIndex(file: string, { contents, embeddings }: StoredIndex): void {
  const { items, metric, origin } = contents;
  const here = dirname(resolve(file));
  const texts = (of: (item: IndexItem) => string) =>
    tensor(new TextEncoder().encode(items.map(of).join('\0')));
  using ids = texts(({ id }) => id);
  using paths = texts(({ path }) => path ?? '');
  using labels = texts(({ label }) => label ?? '');
  using payloads = texts(({ payload }) => (payload === null ? '' : JSON.stringify(payload)));
  const numbers = items.flatMap(({ stamp }) => [stamp?.size ?? Number.NaN, stamp?.modified ?? Number.NaN]);
  using stamps = tensor(Float64Array.from(numbers), { shape: [items.length, 2] });
  const tensors = new Map([
    ['embeddings', embeddings],
    ['ids', ids],
    ['paths', paths],
    ['stamps', stamps],
    ...(items.some(({ label }) => label !== null) ? [['labels', labels] as const] : []),
    ...(items.some(({ payload }) => payload !== null) ? [['payloads', payloads] as const] : []),
  ]);
  const metadata = {
    format: FORMAT,
    metric,
    ...(origin && {
      folder: origin.folder,
      relative_folder: relative(here, origin.folder),
      ...made(origin, here),
    }),
  };
  writeSafetensors(file, tensors, metadata, { checksum: true });
}

/** What embedded the rows: of a run's model its SHA-256, of another embedder what it calls itself. */
function made(origin: IndexOrigin, here: string): Record<string, string> {
  const { embedder, source, checkpoint, preprocessing } = origin;
  return {
    ...(source === null
      ? { embedder }
      : { sha256: embedder, run: source, relative_run: relative(here, source) }),
    ...(checkpoint && { checkpoint }),
    ...(preprocessing && { preprocessing: JSON.stringify(preprocessing) }),
  };
}
