import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openCsv } from '../datasets/csv.js';
import type { Dataset } from '../datasets/dataset.js';
import { buildImages } from '../experiment/build.js';
import { drawnExperiment, drawnModel, drawnRun } from '../testing/saved-run.js';
import { embedImages } from '../train/embed.js';
import { TrainedModel } from './trained-model.js';

let folder: string;
let dataset: Dataset;

// Smaller than data.resize, odd, wide, high, and much larger.
const shapes = [
  [26, 26],
  [41, 29],
  [33, 64],
  [20, 61],
  [300, 211],
  [64, 64],
] as const;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-preprocessing-'));
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
  mkdirSync(join(folder, 'images'));
  const lines: string[] = [];
  for (const [i, part] of ['train', 'train', 'test,query', 'test,gallery'].entries()) {
    for (const [j, [width, height]] of shapes.entries()) {
      // Where every pixel differs, half a pixel makes another embedding.
      const noise = Uint8Array.from(
        { length: width * height * 3 },
        (_, at) => (at * at * 31 + i * 77 + j * 13) % 251,
      );
      const name = `images/${i}-${j}.${j % 2 ? 'png' : 'jpg'}`;
      await sharp(noise, { raw: { width, height, channels: 3 } }).toFile(join(folder, name));
      lines.push(`${name},${i < 2 ? `a${i}` : `b${j % 2}`},${part}${i < 2 ? ',' : ''}`);
    }
  }
  writeFileSync(join(folder, 'list.csv'), `path,label,split,part\n${lines.join('\n')}\n`);
  dataset = await openCsv({ file: folder });
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const augmentations = ['standard', 'geom', 'icons', 'none'] as const;
it.each(augmentations.flatMap((name) => [true, false].map((cache) => [name, cache] as const)))(
  'is one for evaluation, index and search: augmentation %s, cache %s',
  async (augmentation, cache) => {
    const experiment = drawnExperiment({ data: { augmentation: { name: augmentation }, cache } });
    using network = drawnModel(1);
    using model = TrainedModel.open(drawnRun(join(folder, `${augmentation}-${cache}`), experiment));
    // Where decoded images are kept makes no difference.
    for (const cached of [true, false]) {
      const { input } = network.backbone;
      const data = await buildImages(experiment, dataset, input, { bad: null, cached }, {});
      for (const part of ['test', 'gallery'] as const) {
        using evaluated = await embedImages(network, data.plain(part));
        using found = await model.embed(dataset[part]!.paths);
        expect(found.shape).toEqual([6, 16]);
        using difference = found.sub(evaluated).abs().max();
        expect(difference.item()).toBeLessThan(1e-6);
      }
    }
  },
);

const cached = (cache: boolean) => drawnExperiment({ data: { augmentation: { name: 'geom' }, cache } });

it('leaves out images that cannot be read, whatever is reduced', async () => {
  for (const cache of [true, false]) {
    using model = TrainedModel.open(drawnRun(join(folder, `bad-${cache}`), cached(cache)));
    const good = dataset.test.paths;
    const gone = join(folder, 'gone.jpg');
    const empty = join(folder, 'empty.jpg');
    writeFileSync(empty, '');
    const told: [string, number][] = [];
    const onBad = ({ path }: Error & { path: string }, place: number) => told.push([path, place]);
    using found = await model.embed([gone, ...good.slice(0, 3), empty, ...good.slice(3)], {
      batchSize: 2,
      onBad,
    });
    expect(told.splice(0)).toEqual([
      [gone, 0],
      [empty, 4],
    ]);
    using expected = await model.embed(good);
    using difference = found.sub(expected).abs().max();
    expect(difference.item()).toBeLessThan(1e-6);
    using none = await model.embed([gone, empty], { onBad });
    expect(none.shape).toEqual([0, 16]);
    await expect(model.embed([good[0]!, gone])).rejects.toThrow(/gone\.jpg: no such file/);
  }
});

it('is the same, bit for bit, of files, of what they hold, and of their pixels', async () => {
  for (const cache of [true, false]) {
    using model = TrainedModel.open(drawnRun(join(folder, `memory-${cache}`), cached(cache)));
    const { paths } = dataset.test;
    const bytes = paths.map((path) => readFileSync(path));
    // What lies in a JPEG depends on its decoder.
    const pngs = paths.filter((path) => path.endsWith('.png'));
    const pixels = await Promise.all(
      pngs.map(async (path) => {
        const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
        return { width: info.width, height: info.height, data };
      }),
    );
    using files = await model.embed(paths);
    using memory = await model.embed(bytes);
    using mixed = await model.embed(paths.map((path, i) => (i % 3 === 0 ? path : bytes[i]!)));
    expect(memory.toTypedArray()).toEqual(files.toTypedArray());
    expect(mixed.toTypedArray()).toEqual(files.toTypedArray());
    using ofPngs = await model.embed(pngs);
    using ofPixels = await model.embed(pixels);
    expect(ofPixels.toTypedArray()).toEqual(ofPngs.toTypedArray());

    const told: [string, number][] = [];
    using some = await model.embed([bytes[0]!, Buffer.from('no image'), pixels[0]!], {
      onBad: ({ path }, place) => told.push([path, place]),
    });
    expect([some.shape, told]).toEqual([[2, 16], [['2 of those given (bytes)', 1]]]);
  }
});

it('refuses what is no list of images, in words', async () => {
  using model = TrainedModel.open(drawnRun(join(folder, 'files'), drawnExperiment()));
  const embed = model.embed.bind(model) as (images: unknown) => Promise<unknown>;
  await expect(embed(['x.jpg', 7])).rejects.toThrow(
    /^image 2 of those given: expected a path, a Uint8Array of a file's bytes, or .*, got 7$/,
  );
  await expect(embed('x.jpg')).rejects.toThrow(
    /expected an array of images \(paths, bytes or pixels\), got string/,
  );
  await expect(embed(Buffer.alloc(3))).rejects.toThrow(/expected an array of images .*, got bytes/);
});
