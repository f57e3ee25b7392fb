import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, expect, it } from 'vitest';
import { Interrupted } from '../interrupted.js';
import { embedFolder } from './embed-folder.js';
import type { Embedder, EmbedRequest } from './embedder.js';
import { formatOf } from './embeddings/embedding-formats.js';
import { shardFile } from './embeddings/shard.js';
import { mergeEmbeddings } from './merge-embeddings.js';

let folder = '';
let photos = '';
beforeEach(() => {
  folder = temporaryFolder();
  photos = join(folder, 'photos');
  writeDiscs(photos, 70); // 1,120 images: more than a portion
});

/** One's own, whose rows are made of the names. */
class ByName implements Embedder {
  readonly dim = 4;
  readonly view = null;
  seen = 0;

  constructor(
    readonly id = 'by name',
    private readonly stopAfter = Number.POSITIVE_INFINITY,
  ) {}

  async embed(images: readonly string[], { onProgress }: EmbedRequest = {}): Promise<Float32Array> {
    if (this.seen >= this.stopAfter) throw new Interrupted();
    this.seen += images.length;
    onProgress?.(images.length);
    return Float32Array.from(
      images.flatMap((path) => {
        const [label, image] = /class-(\d+)\/(\d+)/.exec(path)!.slice(1).map(Number);
        return [label!, image!, 0, 1];
      }),
    );
  }

  close(): void {}
}

it('writes all images in the order of their ids, with progress to the last', async () => {
  const out = join(folder, 'x.npy');
  const steps: number[] = [];
  const result = await embedFolder(new ByName(), photos, {
    out,
    onProgress: ({ done }) => void steps.push(done),
  });
  expect(result).toMatchObject({ file: out, images: 1120, kept: 0 });
  expect(steps.at(-1)).toBe(1120);
  const table = await formatOf(out).read(out);
  expect(table.ids).toEqual([...table.ids].sort());
  expect(table.ids[70]).toBe('images/class-01/0.svg');
  expect(table.paths[70]).toBe(join(photos, 'images/class-01/0.svg'));
  expect([...table.rows.subarray(70 * 4, 71 * 4)]).toEqual([1, 0, 0, 1]);
  expect(readdirSync(folder).sort()).toEqual(['photos', 'x.items.jsonl', 'x.npy']);
});

it('goes on where it was interrupted, with the images as they are then and the model that it then is', async () => {
  const out = join(folder, 'x.safetensors');
  await expect(embedFolder(new ByName('by name', 1024), photos, { out })).rejects.toThrow(Interrupted);
  expect(readdirSync(`${out}.partial`)).toHaveLength(1);

  const other = new ByName('another');
  await embedFolder(other, photos, { out: join(folder, 'y.safetensors') });
  expect(other.seen).toBe(1120);

  const again = new ByName();
  expect(await embedFolder(again, photos, { out })).toMatchObject({ images: 1120, kept: 1024 });
  expect(again.seen).toBe(96);
  const [x, y] = ['x', 'y'].map((name) => formatOf(out).read(join(folder, `${name}.safetensors`)));
  expect({ ...(await x), embedder: '' }).toEqual({ ...(await y), embedder: '' });
  expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);

  await expect(embedFolder(new ByName('by name', 1024), photos, { out })).rejects.toThrow(Interrupted);
  writeFileSync(join(photos, 'images/class-00/0.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  const changed = new ByName();
  expect(await embedFolder(changed, photos, { out })).toMatchObject({ images: 1120, kept: 1023 });
  expect(changed.seen).toBe(97);
});

it('does the shards of the work apart, each image in one, and merges them to the same', async () => {
  const [out, whole] = [join(folder, 'x.jsonl'), join(folder, 'whole.jsonl')];
  await embedFolder(new ByName(), photos, { out: whole });
  const counts: number[] = [];
  for (const number of [3, 1, 2]) {
    const { file, images } = await embedFolder(new ByName(), photos, { out, shard: { number, count: 3 } });
    expect(file).toBe(shardFile(out, { number, count: 3 }));
    counts.push(images);
  }
  expect(counts.reduce((sum, count) => sum + count)).toBe(1120);
  for (const count of counts) expect(Math.abs(count - 1120 / 3)).toBeLessThan(60);
  await mergeEmbeddings(out);
  expect(await formatOf(out).read(out)).toEqual(await formatOf(out).read(whole));
});

it('says where there is nothing to embed', async () => {
  rmSync(photos, { recursive: true });
  await expect(embedFolder(new ByName(), photos, { out: join(folder, 'x.npy') })).rejects.toThrow(/photos/);
  await expect(embedFolder(new ByName(), folder, { out: join(folder, 'x.npy') })).rejects.toThrow(
    /found none/,
  );
});

it('leaves nothing behind where no image can be read: there is nothing to go on with', async () => {
  const none: Embedder = {
    ...{ id: 'none', dim: 4, view: null, close() {} },
    async embed(images: readonly string[], { onBad }: EmbedRequest = {}) {
      for (const place of images.keys()) onBad?.(new Error('no picture') as never, place);
      return new Float32Array();
    },
  };
  await expect(embedFolder(none, photos, { out: join(folder, 'x.npy') })).rejects.toThrow(
    /none of its 1120 images can be read/,
  );
  expect(readdirSync(folder)).toEqual(['photos']);
});
