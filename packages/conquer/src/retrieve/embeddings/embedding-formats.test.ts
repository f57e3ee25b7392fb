import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { mergeEmbeddings } from '../merge-embeddings.js';
import { embeddingFormats, formatOf } from './embedding-formats.js';
import type { EmbeddingTable } from './embedding-table.js';
import { isIn, shardFile, shardOf } from './shard.js';

let folder = '';
beforeEach(() => {
  folder = temporaryFolder();
});

const ids = ['a/1.jpg', 'a/"ü€😀", \\.png', 'b/new\nline.jpg'];

/** Numbers whose digits matter. */
const tableOf = (names: readonly string[], { dim = 3, embedder = 'f'.repeat(64) } = {}): EmbeddingTable => ({
  ids: names,
  paths: names.map((id) => `/photos/${id}`),
  rows: Float32Array.from({ length: names.length * dim }, (_, i) => Math.sin(i + 1) * 10 ** ((i % 7) - 4)),
  dim,
  embedder,
});

const kinds = embeddingFormats.map(({ extension }) => extension);

describe.each(kinds)('embeddings in %s', (extension) => {
  const format = formatOf(`x${extension}`);

  it('come back bit for bit', async () => {
    const file = join(folder, `x${extension}`);
    for (const table of [tableOf(ids), tableOf(ids.slice(0, 1), { dim: 1280 })]) {
      await format.write(file, table);
      expect(await format.read(file)).toEqual(table);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('may be of no image', async () => {
    const file = join(folder, `x${extension}`);
    await format.write(file, tableOf([]));
    expect((await format.read(file)).ids).toEqual([]);
  });

  it('are refused where the file is another one', async () => {
    const file = join(folder, `x${extension}`);
    await format.write(file, tableOf(ids));
    const whole = readFileSync(file);
    for (const bytes of [whole.subarray(0, -5), Buffer.from('{"id": 1}\n')]) {
      writeFileSync(file, bytes);
      const error: unknown = await (async () => format.read(file))().then(
        () => null,
        (reason) => reason,
      );
      expect(error).toBeInstanceOf(UserError);
      expect((error as Error).message).toContain(file);
    }
  });

  it('are merged by name, in the order of the ids', async () => {
    const names = Array.from({ length: 60 }, (_, i) => `${i}.jpg`);
    const whole = tableOf([...names].sort());
    const out = join(folder, `x${extension}`);
    const count = 3;
    for (let number = 1; number <= count; number++) {
      const places = [...whole.ids.keys()].filter((n) => isIn({ number, count }, whole.ids[n]!)).reverse();
      expect(places.length).toBeGreaterThan(5);
      await format.write(shardFile(out, { number, count }), {
        ...whole,
        ids: places.map((n) => whole.ids[n]!),
        paths: places.map((n) => whole.paths[n]!),
        rows: Float32Array.from(places.flatMap((n) => [...whole.rows.subarray(3 * n, 3 * n + 3)])),
      });
    }
    await format.write(shardFile(join(folder, `x-y${extension}`), { number: 1, count: 9 }), whole);
    expect(await mergeEmbeddings(out)).toEqual({ images: 60, shards: 3 });
    expect(await format.read(out)).toEqual(whole);
  });
});

describe('merging', () => {
  const file = () => join(folder, 'x.jsonl');
  const put = async (number: number, count: number, table: EmbeddingTable) =>
    await formatOf(file()).write(shardFile(file(), { number, count }), table);

  it.each([
    ['no shards', async () => {}, /there are no shards of it, such as .*x-00001-of-00004.jsonl/],
    ['one that is missing', async () => await put(2, 3, tableOf(ids)), /2 of 3 shards are missing: 1, 3/],
    [
      'shards of two numbers',
      async () => {
        await put(1, 2, tableOf(ids));
        await put(1, 3, tableOf(ids));
      },
      /there are shards of 2 and of 3/,
    ],
    [
      'another model',
      async () => {
        await put(1, 2, tableOf(['a']));
        await put(2, 2, tableOf(['b'], { embedder: 'e'.repeat(64) }));
      },
      /x-00002-of-00002.jsonl was made by another model/,
    ],
    [
      'an image twice',
      async () => {
        await put(1, 2, tableOf(['a', 'b']));
        await put(2, 2, tableOf(['b']));
      },
      /b is in two of its shards/,
    ],
  ])('is refused where there is %s', async (_, prepare, message) => {
    await prepare();
    await expect(mergeEmbeddings(file())).rejects.toThrow(message);
    await expect(mergeEmbeddings(file())).rejects.toThrow(UserError);
    expect(existsSync(file())).toBe(false);
  });
});

it('names a shard as others do, and a kind that there is not', () => {
  expect(basename(shardFile('out/x.y.npy', shardOf('2/1000')))).toBe('x.y-00002-of-01000.npy');
  for (const text of ['0/4', '5/4', '1', 'a/b', '1/0', '-1/4'])
    expect(() => shardOf(text)).toThrow(/expected one of so many/);
  expect(() => formatOf('x.csv')).toThrow(/one of .safetensors, .npy, .parquet, .jsonl/);
});

describeWithPython('embeddings in a file of NumPy', ['numpy'], () => {
  it('are an array there', () => {
    const table = tableOf(ids);
    const file = join(folder, 'x.npy');
    void formatOf(file).write(file, table);
    const read = runPython<{ shape: number[]; dtype: string; values: number[]; aligned: boolean }>(
      `
      import numpy
      x = numpy.load(input)
      output = {'shape': list(x.shape), 'dtype': str(x.dtype), 'values': x.flatten().tolist(),
                'aligned': numpy.load(input, mmap_mode='r').offset % 64 == 0}
      `,
      file,
    );
    expect(read).toEqual({ shape: [3, 3], dtype: 'float32', values: [...table.rows], aligned: true });
  });
});
