import { readFileSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import type { EmbeddingFormat, EmbeddingTable } from './embedding-table.js';
import { itemLines, readItems } from './lines-format.js';
import { writeWhole } from './whole-file.js';

/** Beside `x.npy`, which has room for numbers alone. */
const itemsOf = (file: string) => `${file.replace(/\.npy$/, '')}.items.jsonl`;

const MAGIC = '\x93NUMPY';

/** An array (N, D) of NumPy's format 1.0 with its header of a multiple of 64 bytes, and the images' names beside it. */
export const numpyFormat: EmbeddingFormat = {
  extension: '.npy',
  help: 'an array (N, D), and beside it NAME.items.jsonl: id, path',

  write(file: string, table: EmbeddingTable): void {
    const { ids, rows, dim } = table;
    const described = `{'descr': '<f4', 'fortran_order': False, 'shape': (${ids.length}, ${dim}), }`;
    const header = `${described.padEnd(64 * Math.ceil((10 + described.length + 1) / 64) - 11)}\n`;
    const head = Buffer.alloc(10);
    head.write(`${MAGIC}\x01\x00`, 'latin1');
    head.writeUInt16LE(header.length, 8);
    // The names first: where the array is, they are.
    writeWhole(itemsOf(file), itemLines(table));
    writeWhole(file, [head, header, new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)]);
  },

  async read(file: string): Promise<EmbeddingTable> {
    const bytes = readFileSync(file);
    const start = 10 + (bytes.length >= 10 ? bytes.readUInt16LE(8) : 0);
    const header = bytes.toString('latin1', 10, start);
    const [, count, dim] =
      /'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(header) ?? [];
    const size = 4 * Number(count) * Number(dim);
    if (bytes.toString('latin1', 0, 6) !== MAGIC || bytes.length - start !== size)
      throw new UserError(
        `${file}: expected an array (N, D) of float32 that conquer embed wrote, got another file`,
      );
    const items = await readItems(itemsOf(file));
    if (items.length !== Number(count))
      throw new UserError(`${file} has ${count} rows, ${itemsOf(file)} names ${items.length} images`);
    return {
      ids: items.map(({ id }) => id),
      paths: items.map(({ path }) => path),
      embedder: items[0]?.embedder ?? '',
      rows: new Float32Array(new Uint8Array(bytes.subarray(start)).buffer),
      dim: Number(dim),
    };
  },
};
