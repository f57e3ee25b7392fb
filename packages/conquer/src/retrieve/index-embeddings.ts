import { statSync } from 'node:fs';
import { sep } from 'node:path';
import { type FileStamp, fileOfImage, type IndexItem, UserError } from '@conquer-dml/run';
import { classFolderOf } from '../datasets/folder-parts.js';
import type { AnyIndex } from './any-index.js';
import type { Embedder } from './embedder.js';
import { embeddingFormats, formatOf } from './embeddings/embedding-formats.js';
import type { EmbeddingTable } from './embeddings/embedding-table.js';

/** Whether a file's name is one of embeddings, as `embedFolder` writes them. */
export const isEmbeddingFile = (file: string): boolean =>
  embeddingFormats.some(({ extension }) => file.toLowerCase().endsWith(extension));

/**
 * Embeddings that `embedFolder` wrote, whole or a shard of them.
 * @returns what is in the file, and the folder that its ids are paths in
 * @throws UserError where it is no such file, or of another embedder
 */
export async function readEmbeddings(
  file: string,
  { id, source }: Pick<Embedder, 'id' | 'source'>,
): Promise<EmbeddingTable & { folder: string }> {
  const table = await formatOf(file).read(file);
  if (table.ids.length > 0 && table.embedder !== id)
    throw new UserError(
      `${file} is of other weights (${table.embedder}) than ${source ?? id} has: name the model that made it`,
    );
  const [path = '', first = ''] = [table.paths[0], table.ids[0]];
  const folder = path.slice(0, path.length - first.length - 1);
  const other = table.ids.findIndex(
    (one, n) => table.paths[n] !== `${folder}${sep}${one.split('/').join(sep)}`,
  );
  if (other >= 0)
    throw new UserError(`${file}: expected images of one folder, ${folder}, got ${table.paths[other]}`);
  return { ...table, folder };
}

/**
 * Puts embeddings into an index, with the labels that class folders give; those of its items that are not among them stay, so that
 * shards come one after the other.
 *
 * @param index of the table's folder, by what made it; to be saved by the caller
 * @throws UserError or RangeError where they do not fit the index
 */
export async function putEmbeddings(index: AnyIndex, { ids, paths, rows }: EmbeddingTable): Promise<void> {
  const names = ids.map((id) => id.split('/').join(sep));
  const labelOf = classFolderOf(names);
  const items = ids.map((id, n): IndexItem => {
    const path = names[n]!;
    const label = labelOf(path);
    // Files may lie on another machine: without a stamp they are embedded anew when the folder itself is indexed.
    const images = [{ path, stamp: stampOf(paths[n]!) }];
    return { id, labels: label === null ? [] : [label], payload: null, images };
  });
  await index.put(rows, items);
}

function stampOf(path: string): FileStamp | null {
  const found = statSync(fileOfImage(path), { throwIfNoEntry: false });
  return found ? { size: found.size, modified: found.mtimeMs } : null;
}
