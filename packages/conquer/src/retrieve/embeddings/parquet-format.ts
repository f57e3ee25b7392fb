import { UserError } from '@conquer-dml/run';
import { type EmbeddingFormat, type EmbeddingTable, rowOf } from './embedding-table.js';
import { replaceWhole } from './whole-file.js';

const EMBEDDER = 'conquer.embedder';
/** Of a row group: so many are read at once, and their numbers lie together. */
const ROWS = 10_000;

/** Columns `id` and `path` (texts) and `embedding` (a list of float32); what made the rows is in the file's metadata. */
export const parquetFormat: EmbeddingFormat = {
  extension: '.parquet',
  help: 'columns id, path, embedding (a list of float32)',

  async write(file: string, table: EmbeddingTable): Promise<void> {
    const { parquetWriteFile } = await import('hyparquet-writer');
    const { ids, paths, embedder } = table;
    replaceWhole(file, (filename) =>
      parquetWriteFile({
        filename,
        schema: [
          { name: 'root', num_children: 3 },
          { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
          { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
          { name: 'embedding', converted_type: 'LIST', repetition_type: 'REQUIRED', num_children: 1 },
          { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
          { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
        ],
        columnData: [
          { name: 'id', data: [...ids] },
          { name: 'path', data: [...paths] },
          // Numbers of a network cannot be compressed, and their least and largest say nothing.
          {
            name: 'embedding',
            data: Array.from(ids, (_, n) => Array.from(rowOf(table, n))),
            codec: 'UNCOMPRESSED',
            encoding: 'PLAIN',
            statistics: false,
          },
        ],
        rowGroupSize: ROWS,
        kvMetadata: [{ key: EMBEDDER, value: embedder }],
        createdBy: 'conquer',
      }),
    );
  },

  async read(file: string): Promise<EmbeddingTable> {
    const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
    try {
      const buffer = await asyncBufferFromFile(file);
      const metadata = await parquetMetadataAsync(buffer);
      const embedder = metadata.key_value_metadata?.find(({ key }) => key === EMBEDDER)?.value;
      if (embedder === undefined) throw new Error('it does not say by what its rows were made');
      const rows = (await parquetReadObjects({ file: buffer, metadata })) as {
        id: string;
        path: string;
        embedding: number[];
      }[];
      const dim = rows[0]?.embedding.length ?? 0;
      const numbers = new Float32Array(rows.length * dim);
      for (const [n, { embedding }] of rows.entries()) numbers.set(embedding, n * dim);
      return {
        ids: rows.map(({ id }) => id),
        paths: rows.map(({ path }) => path),
        rows: numbers,
        dim,
        embedder,
      };
    } catch (error) {
      throw new UserError(`${file}: expected a table that conquer embed wrote: ${(error as Error).message}`);
    }
  },
};
