import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { imageBoxPath } from '@conquer-dml/image';
import { fileOfImage, type Json, UserError } from '@conquer-dml/run';
import { refuseBoxesOutside } from '../datasets/boxes.js';
import { csvBox } from '../datasets/csv-columns.js';
import { type CsvRow, parseCsv, partedOtherwise } from '../datasets/csv-rows.js';
import { isInside } from '../datasets/path-inside.js';
import { readTextFile } from '../datasets/text-file.js';
import type { AnyIndex } from './any-index.js';
import type { Embedder } from './embedder.js';
import type { ImageIndex } from './image-index.js';
import { type ImageToIndex, type IndexedItems, type IndexItemsOptions, indexItems } from './index-items.js';

export type IndexCsvOptions<Index extends AnyIndex = ImageIndex> = IndexItemsOptions<Index>;

interface ListedItem {
  id: string;
  labels: string[];
  payload: Record<string, Json>;
  images: ImageToIndex[];
}

/** Columns that are not of the payload. */
const KNOWN = ['path', 'id', 'label', 'x', 'y', 'w', 'h'];

/**
 * Indexes the images that a CSV file lists. Its first line names its columns: `path`, relative to the file's folder, and if there
 * are `id` (else the path is it, with the box), `label`, and `x`, `y`, `w`, `h` of a box in the file, as data sets have them; all others are fields of the payload, as texts. Rows of one id are images of one item.
 *
 * @throws UserError where it is none, or lists an image that is not there; else as `indexFolder`
 */
export async function indexCsv<Index extends AnyIndex = ImageIndex>(
  embedder: Embedder,
  path: string,
  options: IndexCsvOptions<Index> = {},
): Promise<IndexedItems<Index>> {
  const file = resolve(path);
  const [head, ...rows] = parseCsv(await readTextFile(file, 'a CSV file'), file);
  const columns = head?.cells.map((cell) => cell.toLowerCase()) ?? [];
  if (!columns.includes('path') || rows.length === 0)
    throw new UserError(
      `${file}: expected a first line that names its columns, path[,id][,label][,…], and images below it, got ${head === undefined ? 'nothing' : columns.join(',') + partedOtherwise(head)}`,
    );
  const twice = columns.find((name, at) => columns.indexOf(name) !== at);
  if (twice !== undefined) throw new UserError(`${file}: its first line names the column ${twice} twice`);
  const missing = ['x', 'y', 'w', 'h'].filter((name) => !columns.includes(name));
  if (missing.length > 0 && missing.length < 4)
    throw new UserError(
      `${file}: expected all of the columns x, y, w, h or none, ${missing.join(', ')} is missing`,
    );
  const items = new Map<string, ListedItem>();
  const boxed: { path: string; line: number }[] = [];
  for (const row of rows) boxed.push(await addRow(items, row, columns, file));
  await refuseBoxesOutside(boxed, file);
  const listed = [...items.values()].map(({ payload, ...item }) => ({
    ...item,
    payload: Object.keys(payload).length === 0 ? null : payload,
  }));
  const indexed = await indexItems(embedder, dirname(file), listed, options);
  if (indexed.index.count === 0) throw new UserError(`${file}: none of its images can be read`);
  return indexed;
}

async function addRow(
  items: Map<string, ListedItem>,
  row: CsvRow,
  columns: readonly string[],
  file: string,
): Promise<{ path: string; line: number }> {
  const { cells, line } = row;
  if (cells.length > columns.length)
    throw new UserError(`${file}, line ${line}: expected ${columns.length} cells, got ${cells.length}`);
  const cell = (name: string) => cells[columns.indexOf(name)] ?? '';
  const listed = cell('path');
  if (listed === '' || !isInside(listed))
    throw new UserError(
      `${file}, line ${line}: expected a path inside ${dirname(file)}, got ${JSON.stringify(listed)}`,
    );
  const found = await stat(join(dirname(file), fileOfImage(listed))).catch(() => null);
  if (!found?.isFile()) throw new UserError(`${file}, line ${line}: there is no file ${listed}`);
  const box = csvBox(['x', 'y', 'w', 'h'].map(cell), row, file);
  const path = box ? imageBoxPath(listed, box) : listed;
  const id = cell('id') || path;
  const item = items.get(id) ?? { id, labels: [], payload: {}, images: [] };
  items.set(id, item);
  const label = cell('label');
  if (label !== '' && !item.labels.includes(label)) item.labels.push(label);
  for (const [at, name] of columns.entries())
    if (!KNOWN.includes(name) && cells[at]) item.payload[name] ??= cells[at];
  item.images.push({ path, stamp: { size: found.size, modified: found.mtimeMs } });
  return { path: join(dirname(file), path), line };
}
