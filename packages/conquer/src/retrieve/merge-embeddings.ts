import { readdirSync } from 'node:fs';
import { basename, dirname, extname } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { formatOf } from './embeddings/embedding-formats.js';
import { type EmbeddingTable, rowOf } from './embeddings/embedding-table.js';
import { shardFile } from './embeddings/shard.js';

/**
 * Joins the shards of a file, which lie beside it under its name (`x-00001-of-00004.npy`, …), in the order of the ids.
 *
 * @param out `x.npy`
 * @returns how many images there are in how many shards; the shards stay
 * @throws UserError where one is missing, two are of different models, or an image is in two
 */
export async function mergeEmbeddings(out: string): Promise<{ images: number; shards: number }> {
  const format = formatOf(out);
  const count = countOf(out);
  const tables: EmbeddingTable[] = [];
  for (let number = 1; number <= count; number++) {
    const table = await format.read(shardFile(out, { number, count }));
    const [first] = tables;
    if (table.ids.length === 0) continue; // which does not say of what it would be
    if (first !== undefined && (first.embedder !== table.embedder || first.dim !== table.dim))
      throw new UserError(
        `${shardFile(out, { number, count })} was made by another model than those before it: embed it anew`,
      );
    tables.push(table);
  }
  const [first] = tables;
  if (first === undefined) throw new UserError(`${out}: none of its ${count} shards holds an image`);
  const places = tables.flatMap((table) => table.ids.map((id, n) => ({ id, table, n })));
  places.sort((a, b) => (a.id < b.id ? -1 : 1));
  const twice = places.find(({ id }, i) => id === places[i + 1]?.id);
  if (twice) throw new UserError(`${out}: ${twice.id} is in two of its shards: embed them anew`);
  const { dim, embedder } = first;
  const rows = new Float32Array(places.length * dim);
  for (const [i, { table, n }] of places.entries()) rows.set(rowOf(table, n), i * dim);
  const ids = places.map(({ id }) => id);
  const paths = places.map(({ table, n }) => table.paths[n]!);
  await format.write(out, { ids, paths, rows, dim, embedder });
  return { images: places.length, shards: count };
}

/** How many shards there are by the names of those that are there, all of them. */
function countOf(out: string): number {
  const extension = extname(out);
  const stem = basename(out, extension);
  const found = readdirSync(dirname(out)).flatMap((name) => {
    const [, of, number, count] = /^(.*)-(\d{5})-of-(\d{5})$/.exec(basename(name, extension)) ?? [];
    return extname(name) === extension && of === stem
      ? [{ number: Number(number), count: Number(count) }]
      : [];
  });
  const counts = [...new Set(found.map(({ count }) => count))];
  const [count] = counts;
  if (count === undefined)
    throw new UserError(
      `${out}: there are no shards of it, such as ${shardFile(out, { number: 1, count: 4 })}`,
    );
  if (counts.length > 1)
    throw new UserError(
      `${out}: there are shards of ${counts.sort((a, b) => a - b).join(' and of ')}: remove the older ones`,
    );
  const there = new Set(found.map(({ number }) => number));
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !there.has(number));
  if (missing.length > 0)
    throw new UserError(
      `${out}: ${missing.length} of ${count} shards are missing: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`,
    );
  return count;
}
