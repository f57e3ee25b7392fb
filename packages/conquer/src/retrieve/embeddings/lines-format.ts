import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { type EmbeddingFormat, type EmbeddingTable, rowOf } from './embedding-table.js';
import { writeWhole } from './whole-file.js';

/** What is said of an image in a line. */
const itemSchema = z.object({ id: z.string(), path: z.string(), embedder: z.string() });
const lineSchema = itemSchema.extend({ embedding: z.array(z.number()).min(1) });

export type EmbeddedItem = z.infer<typeof itemSchema>;

/** A line of JSON for each of the images, without its numbers. */
export function* itemLines({
  ids,
  paths,
  embedder,
}: Omit<EmbeddingTable, 'rows' | 'dim'>): Generator<string> {
  for (const [n, id] of ids.entries()) yield `${JSON.stringify({ id, path: paths[n], embedder })}\n`;
}

/** @throws UserError naming the first line that is none of these */
export async function readItems(file: string): Promise<EmbeddedItem[]> {
  return await readLines(file, itemSchema);
}

async function readLines<T>(file: string, schema: z.ZodType<T>): Promise<T[]> {
  const found: T[] = [];
  try {
    for await (const line of createInterface({
      input: createReadStream(file),
      crlfDelay: Number.POSITIVE_INFINITY,
    }))
      if (line !== '') found.push(schema.parse(JSON.parse(line)));
  } catch (error) {
    throw new UserError(
      `${file}: line ${found.length + 1} is none that conquer embed wrote: ${(error as Error).message.split('\n')[0]}`,
    );
  }
  return found;
}

/** Nine digits are a float32 exactly. */
const numbers = (row: Float32Array) => Array.from(row, (value) => Number(value.toPrecision(9)));

/** A line of JSON for each image: `{"id": …, "path": …, "embedder": …, "embedding": […]}`. */
export const linesFormat: EmbeddingFormat = {
  extension: '.jsonl',
  help: 'a line of JSON for each image: id, path, embedder, embedding',

  write(file: string, table: EmbeddingTable): void {
    const { ids, paths, embedder } = table;
    writeWhole(
      file,
      (function* () {
        for (const [n, id] of ids.entries())
          yield `${JSON.stringify({ id, path: paths[n], embedder, embedding: numbers(rowOf(table, n)) })}\n`;
      })(),
    );
  },

  async read(file: string): Promise<EmbeddingTable> {
    const lines = await readLines(file, lineSchema);
    const dim = lines[0]?.embedding.length ?? 0;
    const rows = new Float32Array(lines.length * dim);
    for (const [n, { id, embedding }] of lines.entries()) {
      if (embedding.length !== dim)
        throw new UserError(`${file}: ${id} has ${embedding.length} numbers, those before it have ${dim}`);
      rows.set(embedding, n * dim);
    }
    return {
      ids: lines.map(({ id }) => id),
      paths: lines.map(({ path }) => path),
      embedder: lines[0]?.embedder ?? '',
      rows,
      dim,
    };
  },
};
