import { type FileHandle, open } from 'node:fs/promises';
import * as zlib from 'node:zlib';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';
import { ImageError } from './error.js';

/** An image in a row of a Parquet file, as Hugging Face's data sets have them. */
export interface ParquetRow {
  path: string;
  /** The column: of bytes, or a struct with a field `bytes`. */
  column: string;
  /** Counted from 0 in the file. */
  row: number;
}

/** How a path names one: `train.parquet#COLUMN&row=12`. In COLUMN, a # is written %23. */
const ROW = /^(.*)#([^#]*)&row=(\d{1,15})$/s;

/** The row that a path names; null: it names none. */
export function parquetRowOf(path: string): ParquetRow | null {
  if (!path.includes('#')) return null;
  const [, file, column = '', row] = ROW.exec(path) ?? [];
  return file === undefined ? null : { path: file, column: column.replaceAll('%23', '#'), row: Number(row) };
}

/** The path of an image in a row. */
export function parquetRowPath({ path, column, row }: ParquetRow): string {
  return `${path}#${column.replaceAll('#', '%23')}&row=${row}`;
}

/** Of the rows that are kept read, in bytes. */
const MOST_KEPT = 2 ** 28;

/** Rows that are read together: those of a page where the file says where its pages are, else of a row group. */
interface Block {
  start: number;
  end: number;
}

interface OpenFile {
  metadata: FileMetaData;
  file: AsyncBuffer;
  /** By column. */
  blocks: Map<string, Promise<Block[]>>;
}

type Images = (Uint8Array | null)[];

/** Reads images in rows of Parquet files, and keeps those that were read last: a row is read with its neighbours in the file. */
export class ParquetImages {
  private readonly files = new Map<string, Promise<OpenFile>>();
  /** Last used last. */
  private readonly kept = new Map<string, { images: Promise<Images>; bytes: number }>();
  private bytes = 0;

  /** What lies in the row. @throws ImageError, by this name, where the file or the row cannot be read, or the row is empty */
  async read({ path, column, row }: ParquetRow, name: string): Promise<Uint8Array> {
    let image: Uint8Array | null | undefined;
    try {
      image = await this.imageIn(path, column, row);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new ImageError(name, code === 'ENOENT' ? 'there is no such file' : message, { cause: error });
    }
    if (image === undefined) throw new ImageError(name, 'the file has no such row');
    if (image === null || image.length === 0) throw new ImageError(name, 'the row holds no image');
    return image;
  }

  private async imageIn(path: string, column: string, row: number): Promise<Uint8Array | null | undefined> {
    const file = await this.opened(path);
    let blocks = file.blocks.get(column);
    if (!blocks) {
      blocks = blocksOf(file, column);
      file.blocks.set(column, blocks);
    }
    const block = blockWith(await blocks, row);
    if (!block) return undefined;
    const key = `${path}\0${column}\0${block.start}`;
    const known = this.kept.get(key);
    if (known) {
      this.kept.delete(key);
      this.kept.set(key, known);
      return (await known.images)[row - block.start];
    }
    const entry = { images: readBlock(file, column, block), bytes: 0 };
    this.kept.set(key, entry);
    const images = await entry.images.catch((error: unknown) => {
      this.kept.delete(key);
      throw error;
    });
    if (this.kept.get(key) === entry) {
      entry.bytes = images.reduce((sum, image) => sum + (image?.length ?? 0), 0);
      this.bytes += entry.bytes;
      this.forget(key);
    }
    return images[row - block.start];
  }

  /** Those that were used longest ago, until what is kept fits; never the one just read. */
  private forget(newest: string): void {
    for (const [key, { bytes }] of this.kept) {
      if (this.bytes <= MOST_KEPT) return;
      if (key === newest || bytes === 0) continue;
      this.kept.delete(key);
      this.bytes -= bytes;
    }
  }

  private opened(path: string): Promise<OpenFile> {
    let opened = this.files.get(path);
    if (!opened) {
      opened = openFile(path);
      this.files.set(path, opened);
      opened.catch(() => this.files.delete(path));
    }
    return opened;
  }
}

async function openFile(path: string): Promise<OpenFile> {
  const { parquetMetadataAsync } = await import('hyparquet');
  const file = await parquetFile(path);
  return { metadata: await parquetMetadataAsync(file), file, blocks: new Map() };
}

/** A Parquet file's bytes, which are opened for each of its parts. @throws the system's error where it cannot be opened */
export async function parquetFile(path: string): Promise<AsyncBuffer> {
  const use = async <T>(read: (file: FileHandle) => Promise<T>): Promise<T> => {
    const file = await open(path);
    try {
      return await read(file);
    } finally {
      await file.close();
    }
  };
  const byteLength = await use(async (file) => (await file.stat()).size);
  return {
    byteLength,
    slice: (start, end = byteLength) =>
      use(async (file) => {
        const from = start < 0 ? byteLength + start : start;
        const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - from));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
        if (bytesRead < bytes.length) throw new Error('the file was cut short while it was read');
        return bytes.buffer;
      }),
  };
}

/** What Node.js unpacks beside hyparquet's own snappy; zstd from 22.15 on. */
export const compressors: Compressors = {
  GZIP: (bytes) => zlib.gunzipSync(bytes),
  BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
  ZSTD: (bytes) => {
    const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: (bytes: Uint8Array) => Buffer };
    if (!zstdDecompressSync)
      throw new Error('it is compressed by zstd, which this Node.js does not read (22.15 and later do)');
    return zstdDecompressSync(bytes);
  },
};

/** @throws Error where the file has no such column */
async function blocksOf({ metadata, file }: OpenFile, column: string): Promise<Block[]> {
  const { readOffsetIndex } = await import('hyparquet');
  const blocks: Block[] = [];
  let groupStart = 0;
  for (const { columns, num_rows } of metadata.row_groups) {
    const groupEnd = groupStart + Number(num_rows);
    const chunk = columns.find(({ meta_data }) => isImageColumn(meta_data?.path_in_schema ?? [], column));
    if (!chunk) throw new Error(`it has no column ${column} of images`);
    const { offset_index_offset: at, offset_index_length: length } = chunk;
    let starts = [groupStart];
    if (at !== undefined && length !== undefined) {
      const view = new DataView(await file.slice(Number(at), Number(at) + length));
      const { page_locations } = readOffsetIndex({ view, offset: 0 });
      starts = page_locations.map(({ first_row_index }) => groupStart + Number(first_row_index));
    }
    for (const [i, start] of starts.entries()) {
      const end = starts[i + 1] ?? groupEnd;
      if (end > start) blocks.push({ start, end });
    }
    groupStart = groupEnd;
  }
  return blocks;
}

function isImageColumn([top, field, ...deeper]: readonly string[], column: string): boolean {
  return top === column && (field === undefined || field === 'bytes') && deeper.length === 0;
}

function blockWith(blocks: readonly Block[], row: number): Block | undefined {
  let [low, high] = [0, blocks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocks[middle]!.end <= row) low = middle + 1;
    else high = middle;
  }
  return blocks[low];
}

async function readBlock({ file, metadata }: OpenFile, column: string, block: Block): Promise<Images> {
  const { parquetReadObjects } = await import('hyparquet');
  const rows = await parquetReadObjects({
    file,
    metadata,
    compressors,
    columns: [column],
    rowStart: block.start,
    rowEnd: block.end,
    useOffsetIndex: true,
    utf8: false,
  });
  return rows.map((row) => {
    const value: unknown = row[column];
    const bytes = value instanceof Uint8Array ? value : (value as { bytes?: unknown } | null)?.bytes;
    // A copy: a view would keep all of the page, and what lies beside the images in it.
    return bytes instanceof Uint8Array ? bytes.slice() : null;
  });
}
