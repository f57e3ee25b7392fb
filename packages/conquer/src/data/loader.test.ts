import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ImageError,
  ImageFiles,
  type ImagePack,
  type ImageSet,
  packImages,
  renderSvg,
} from '@conquer-dml/image';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { aten, liveTensors, scope, type Tensor } from '@conquer-dml/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { RandomBatchSampler } from '../samplers/random-batches.js';
import { Affine } from './affine.js';
import { CenterCrop } from './center-crop.js';
import { ColorJitter } from './color-jitter.js';
import { Compose } from './compose.js';
import { CropSource } from './crop-source.js';
import type { ImageSource } from './image-source.js';
import { InOrderBatches } from './in-order.js';
import { type Batch, Loader, type LoaderOptions } from './loader.js';
import { Normalize } from './normalize.js';
import { RandomResizedCrop } from './random-resized-crop.js';

const count = 22;
const labels = Int32Array.from({ length: count }, (_, image) => image % 5);
let folder: string;
let paths: string[];
let pack: ImagePack;

beforeAll(async () => {
  folder = temporaryFolder();
  paths = Array.from({ length: count }, (_, image) => join(folder, `${image}.png`));
  // Image i has red i * 10 everywhere, and a black right half of green and blue.
  for (const [image, path] of paths.entries()) {
    const [red, width] = [image * 10, 16];
    const left = `<rect width="${width / 2}" height="16" fill="rgb(${red},255,255)"/>`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><rect width="16" height="16" fill="rgb(${red},0,0)"/>${left}</svg>`;
    writeFileSync(path, await renderSvg(svg, 16));
  }
  pack = await packImages(paths, { size: 16, square: true, file: join(folder, 'images.pack') });
});

afterAll(() => {
  pack.dispose();
});

const augment = new Compose([
  new Affine({ size: 8, rotation: 20, flip: 0.5 }),
  new ColorJitter(),
  new Normalize(),
]);
const plain = new Compose([]);

function evaluation(source: ImageSource, options: Partial<LoaderOptions> = {}): Loader {
  const batches = new InOrderBatches(count, 8);
  return new Loader({ source, labels, batches, transform: plain, random: new Random(1), ...options });
}

/** A training epoch, every random part of it from one seed. */
function training(source: ImageSource, prefetch: number, seed = 4): Loader {
  const random = new Random(seed);
  const batches = new RandomBatchSampler({ labels, batchSize: 4, random: random.fork() });
  return new Loader({ source, labels, batches, transform: augment, random, prefetch });
}

/** Everything an epoch yields, as numbers. */
async function collect(loader: AsyncIterable<Batch>) {
  const received: { images: Float64Array; shape: number[]; labels: number[]; indices: number[] }[] = [];
  for await (const { images, labels, indices } of loader) {
    received.push({
      images: images.toNumbers(),
      shape: images.shape,
      labels: [...labels],
      indices: [...indices],
    });
    images.dispose();
  }
  return received;
}

/** A real source whose reads take random times, and which counts the reads that are still under way. */
class SlowSource implements ImageSource {
  readonly count: number;
  underWay = 0;
  reads = 0;

  constructor(private readonly source: ImageSource) {
    this.count = source.count;
  }

  async read(positions: Int32Array, random: Random, signal: AbortSignal): Promise<Tensor> {
    this.underWay++;
    this.reads++;
    try {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
      return await this.source.read(positions, random, signal);
    } finally {
      this.underWay--;
    }
  }
}

const whole = (images: ImageSet) => new CropSource({ images, cropping: new CenterCrop({ size: 16 }) });
const files = () => whole(new ImageFiles(paths));
const packed = () => whole(pack);
const crops = (images: ImageSet = new ImageFiles(paths)) =>
  new CropSource({ images, cropping: new RandomResizedCrop({ size: 16 }) });

describe('a batch in chunks', () => {
  const transform = new Normalize();
  const loader = () =>
    evaluation(new CropSource({ images: pack, cropping: new CenterCrop({ size: 8 }) }), { transform });

  it('is what it is at once where nothing is drawn, in parts of any size, and stays bytes', async () => {
    const whole = await collect(loader());
    let batch = 0;
    const before = liveTensors();
    for await (const { images, indices } of loader().inChunks(3)) {
      const { shape, images: wanted } = whole[batch]!;
      expect([...images.shape]).toEqual(shape);
      const per = wanted.length / shape[0]!;
      for (const [start, count] of [
        [0, shape[0]!],
        [0, 3],
        [3, 3],
        [1, 1],
        [2, 3],
      ] as const)
        scope(() => {
          const part = images.narrow(0, start, count);
          expect(part.shape[0]).toBe(count);
          expect([...part.toNumbers()]).toEqual([...wanted.subarray(start * per, (start + count) * per)]);
        });
      expect([...indices]).toEqual(whole[batch]!.indices);
      images.dispose();
      batch++;
    }
    expect(batch).toBe(whole.length);
    expect(liveTensors()).toBe(before);
  });

  it('is transformed the same whenever a part is asked for, and other chunks otherwise', async () => {
    const source = new CropSource({ images: pack, cropping: new CenterCrop({ size: 8 }) });
    for await (const { images } of evaluation(source, { transform: augment }).inChunks(4)) {
      const part = (start: number, count: number) =>
        scope(() => [...images.narrow(0, start, count).toNumbers()]);
      const [first, second] = [part(0, 4), part(4, 2)];
      expect(part(4, 2)).toEqual(second);
      expect(part(0, 4)).toEqual(first);
      expect(part(0, 6)).toEqual([...first, ...second]);
      images.dispose();
    }
  });

  it('of no more images than a chunk is a tensor, drawn as ever', async () => {
    const whole = await collect(
      training(new CropSource({ images: pack, cropping: new CenterCrop({ size: 8 }) }), 2),
    );
    const chunks = training(
      new CropSource({ images: pack, cropping: new CenterCrop({ size: 8 }) }),
      2,
    ).inChunks(4);
    expect(await collect(chunks as AsyncIterable<Batch>)).toEqual(whole);
  });
});

describe('Loader', () => {
  it('gives a whole split in order, from files and from a pack, the last batch smaller', async () => {
    const [fromFiles, fromPack] = [await collect(evaluation(files())), await collect(evaluation(packed()))];
    expect(fromPack).toEqual(fromFiles);
    expect(fromPack.map(({ shape }) => shape)).toEqual([
      [8, 3, 16, 16],
      [8, 3, 16, 16],
      [6, 3, 16, 16],
    ]);
    expect(fromPack.flatMap(({ indices }) => indices)).toEqual([...labels.keys()]);
    expect(fromPack.flatMap(({ labels }) => labels)).toEqual([...labels]);
    for (const { images, indices } of fromPack) {
      for (const [row, index] of indices.entries()) {
        const pixel = (channel: number, x: number) => images[((row * 3 + channel) * 16 + 5) * 16 + x];
        expect(pixel(0, 12)).toBeCloseTo((index * 10) / 255, 6);
        expect([pixel(1, 3), pixel(1, 12), pixel(2, 12)]).toEqual([1, 0, 0]);
      }
    }
  });

  it('draws the same batches whatever the timing and the depth of prefetching', async () => {
    const reference = await collect(training(crops(), 1));
    expect(reference).toHaveLength(5);
    for (const prefetch of [2, 5, 50]) {
      expect(await collect(training(new SlowSource(crops()), prefetch))).toEqual(reference);
    }
    expect(await collect(training(crops(), 2, 5))).not.toEqual(reference);
    const fromPack = await collect(training(crops(pack), 1));
    expect(fromPack.map(({ indices }) => indices)).toEqual(reference.map(({ indices }) => indices));
    expect(await collect(training(crops(pack), 4))).toEqual(fromPack);
  });

  it('reads ahead as far as it is told, and no further', async () => {
    const source = new SlowSource(files());
    const loader = evaluation(source, { batches: new InOrderBatches(count, 2), prefetch: 3 });
    const iterator = loader[Symbol.asyncIterator]();
    for (let received = 1; received <= 5; received++) {
      (await iterator.next()).value?.images.dispose();
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(source.reads).toBe(received + 3);
    }
    await iterator.return();
  });

  it('ends without work under way or tensors left when it is left early', async () => {
    const live = liveTensors();
    for (let take = 0; take < 4; take++) {
      const source = new SlowSource(crops());
      const iterator = training(source, 4)[Symbol.asyncIterator]();
      for (let batch = 0; batch < take; batch++) (await iterator.next()).value?.images.dispose();
      await iterator.return();
      expect(source.underWay).toBe(0);
      expect(liveTensors()).toBe(live);
      expect((await iterator.next()).done).toBe(true);
    }
    const source = new SlowSource(crops());
    await expect(async () => {
      for await (const { images } of training(source, 4)) {
        images.dispose();
        throw new Error('the loop failed');
      }
    }).rejects.toThrow('the loop failed');
    expect([source.underWay, liveTensors()]).toEqual([0, live]);
  });

  it('names a broken image after the batches before it, and leaves nothing behind', async () => {
    const live = liveTensors();
    const broken = paths.slice();
    broken[9] = join(folder, 'broken.png');
    broken[20] = join(folder, 'missing.png');
    writeFileSync(broken[9], 'no image');
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const source = new SlowSource(whole(new ImageFiles(broken)));
    const received: number[] = [];
    const error = await (async () => {
      for await (const { images, indices } of evaluation(source, { prefetch: 4 })) {
        received.push(...indices);
        images.dispose();
      }
    })().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ImageError);
    expect((error as ImageError).message).toMatch(
      /broken\.png: Input file contains unsupported image format$/,
    );
    expect(received).toEqual([...labels.keys()].slice(0, 8));
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect([source.underWay, liveTensors()]).toEqual([0, live]);
  });

  it('frees the pixels when a transform fails', async () => {
    const live = liveTensors();
    const transform = {
      apply: (images: Tensor) => aten.conv2d(images, images, null, [1, 1], [0, 0], [1, 1], 7),
    };
    await expect(collect(evaluation(packed(), { transform }))).rejects.toThrow(/conv2d/);
    expect(liveTensors()).toBe(live);
  });

  it('gives tensors that survive the scopes of others, and leaks none over many epochs', async () => {
    const live = liveTensors();
    for (let epoch = 0; epoch < 10; epoch++) {
      const iterator = training(packed(), 2)[Symbol.asyncIterator]();
      const first = scope(() => {
        const promise = iterator.next();
        return { promise };
      });
      const batch = await first.promise;
      expect(batch.value?.images.shape).toEqual([4, 3, 8, 8]);
      batch.value?.images.dispose();
      for (let next = await iterator.next(); !next.done; next = await iterator.next())
        next.value.images.dispose();
    }
    expect(liveTensors()).toBe(live);
  });

  it('refuses labels that do not fit, no prefetching, and positions that are not there', async () => {
    expect(() => evaluation(files(), { labels: labels.subarray(1) })).toThrow(/21 labels for 22 images/);
    expect(() => evaluation(files(), { prefetch: 0 })).toThrow(/at least 1 batch ahead, got 0/);
    const batches = [Int32Array.of(22)];
    await expect(collect(evaluation(files(), { batches }))).rejects.toThrow(/no image 22, there are 22/);
    await expect(collect(evaluation(packed(), { batches }))).rejects.toThrow(/no image 22, there are 22/);
  });
});
