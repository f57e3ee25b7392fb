import { createHash } from 'node:crypto';
import { basename, dirname, extname, join } from 'node:path';
import { UserError } from '@conquer-dml/run';

/** One of several equal parts of the work, which different machines may do. */
export interface Shard {
  /** 1 … count */
  number: number;
  count: number;
}

/** @throws UserError for what is not `i/n` with 1 ≤ i ≤ n */
export function shardOf(text: string): Shard {
  const [, number, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { number: Number(number), count: Number(count) };
  if (shard.number >= 1 && shard.number <= shard.count && shard.count <= 99_999) return shard;
  throw new UserError(`expected one of so many shards, such as 1/4 … 4/4, got '${text}'`);
}

/** Whether an image belongs to a shard: by its name alone, so that other images that come or go move none. */
export function isIn({ number, count }: Shard, id: string): boolean {
  return createHash('sha256').update(id).digest().readUInt32LE(0) % count === number - 1;
}

/** Where a shard's part of `x.npy` goes: `x-00001-of-00004.npy`. */
export function shardFile(file: string, { number, count }: Shard): string {
  const extension = extname(file);
  const digits = (n: number) => String(n).padStart(5, '0');
  return join(
    dirname(file),
    `${basename(file, extension)}-${digits(number)}-of-${digits(count)}${extension}`,
  );
}
