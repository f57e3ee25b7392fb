import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { oddSizes, writeNoise } from '@conquer-dml/testing/noise';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { tensor } from '@conquer-dml/torch';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openCsv } from '../datasets/csv.js';
import type { Dataset } from '../datasets/dataset.js';
import { embedImages } from '../evaluate/embed.js';
import { buildImages } from '../experiment/build.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { trainedNetwork } from '../train/run-checkpoint.js';
import { indexFolder } from './index-folder.js';
import { openModel } from './open-model.js';

let folder: string;
let dataset: Dataset;

beforeAll(async () => {
  folder = temporaryFolder();
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
  mkdirSync(join(folder, 'images'));
  const lines: string[] = [];
  for (const [i, part] of ['train', 'train', 'test,query', 'test,gallery'].entries()) {
    for (const [j, [width, height]] of oddSizes.entries()) {
      // Where every pixel differs, half a pixel makes another embedding.
      const name = `images/${i}-${j}.${j % 2 ? 'png' : 'jpg'}`;
      await writeNoise(join(folder, name), width, height, i * 77 + j * 13);
      lines.push(`${name},${i < 2 ? `a${i}` : `b${j % 2}`},${part}${i < 2 ? ',' : ''}`);
    }
  }
  writeFileSync(join(folder, 'list.csv'), `path,label,split,part\n${lines.join('\n')}\n`);
  dataset = await openCsv({ file: folder });
});
afterAll(() => {
  vi.unstubAllEnvs();
});

const augmentations = ['standard', 'geom', 'icons', 'none'] as const;
const sizes = [
  { imageSize: 24, resize: 28 },
  { imageSize: 33, resize: 33 },
] as const;
const each = augmentations.flatMap((name) =>
  [true, false].flatMap((cache) => sizes.map((size) => ({ augmentation: { name }, cache, ...size }))),
);
it.each(each.map((data) => [JSON.stringify(data), data] as const))(
  'is one for evaluation, index and search: %s',
  async (name, section) => {
    const experiment = drawnExperiment({ data: section });
    const run = drawnRun(join(folder, createHash('sha1').update(name).digest('hex')), experiment);
    const file = RunFolder.open(run).bestCheckpoint;
    const saved = loadCheckpoint(file);
    using network = trainedNetwork(saved, experiment, {}, { file, describedBy: run });
    disposeCheckpoint(saved);
    using model = await openModel(run);
    // Moved away from its run.
    copyFileSync(file, `${run}.copy`);
    using alone = await openModel(`${run}.copy`);
    expect([alone.view, alone.id]).toEqual([model.view, model.id]);
    const { index } = await indexFolder(model, join(folder, 'images'));
    using _ = index;
    // Where decoded images are kept makes no difference.
    for (const cached of [true, false]) {
      const data = await buildImages(experiment, dataset, network.view, { bad: null, cached }, {});
      for (const part of ['test', 'gallery'] as const) {
        const { paths } = dataset[part]!;
        using evaluated = await embedImages(network, data.plain(part));
        expect(evaluated.shape).toEqual([6, 16]);
        const ways = {
          paths: await model.embed(paths),
          bytes: await model.embed(paths.map((path) => readFileSync(path))),
          'the checkpoint alone': await alone.embed(paths),
          'the index': paths.flatMap((path) => {
            using row = index.rows(basename(path))!;
            return [...row.toNumbers()];
          }),
        };
        for (const [way, rows] of Object.entries(ways)) {
          using found = tensor(Float32Array.from(rows), { shape: [6, 16] });
          using difference = found.sub(evaluated).abs().max();
          expect(difference.item(), way).toBeLessThan(1e-6);
        }
      }
    }
  },
);

const cached = (cache: boolean) => drawnExperiment({ data: { augmentation: { name: 'geom' }, cache } });

it('leaves out images that cannot be read, whatever is reduced', async () => {
  for (const cache of [true, false]) {
    using model = await openModel(drawnRun(join(folder, `bad-${cache}`), cached(cache)));
    const good = dataset.test.paths;
    const gone = join(folder, 'gone.jpg');
    const empty = join(folder, 'empty.jpg');
    writeFileSync(empty, '');
    const told: [string, number][] = [];
    const onBad = ({ path }: Error & { path: string }, place: number) => told.push([path, place]);
    using found = await model.embedTensor([gone, ...good.slice(0, 3), empty, ...good.slice(3)], {
      batchSize: 2,
      onBad,
    });
    expect(told.splice(0)).toEqual([
      [gone, 0],
      [empty, 4],
    ]);
    using expected = await model.embedTensor(good);
    using difference = found.sub(expected).abs().max();
    expect(difference.item()).toBeLessThan(1e-6);
    using none = await model.embedTensor([gone, empty], { onBad });
    expect(none.shape).toEqual([0, 16]);
    await expect(model.embed([good[0]!, gone])).rejects.toThrow(/gone\.jpg: no such file/);
  }
});

it('is the same, bit for bit, of files, of what they hold, and of their pixels', async () => {
  for (const cache of [true, false]) {
    using model = await openModel(drawnRun(join(folder, `memory-${cache}`), cached(cache)));
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
    using files = await model.embedTensor(paths);
    using memory = await model.embedTensor(bytes);
    using mixed = await model.embedTensor(paths.map((path, i) => (i % 3 === 0 ? path : bytes[i]!)));
    expect(memory.toTypedArray()).toEqual(files.toTypedArray());
    expect(mixed.toTypedArray()).toEqual(files.toTypedArray());
    using ofPngs = await model.embedTensor(pngs);
    using ofPixels = await model.embedTensor(pixels);
    expect(ofPixels.toTypedArray()).toEqual(ofPngs.toTypedArray());

    const told: [string, number][] = [];
    using some = await model.embedTensor([bytes[0]!, Buffer.from('no image'), pixels[0]!], {
      onBad: ({ path }, place) => told.push([path, place]),
    });
    expect([some.shape, told]).toEqual([[2, 16], [['2 of those given (bytes)', 1]]]);
  }
});

it('refuses what is no list of images, in words', async () => {
  using model = await openModel(drawnRun(join(folder, 'files'), drawnExperiment()));
  const embed = model.embed.bind(model) as (images: unknown) => Promise<unknown>;
  await expect(embed(['x.jpg', 7])).rejects.toThrow(
    /^image 2 of those given: expected a path, a Uint8Array of a file's bytes, or .*, got 7$/,
  );
  await expect(embed('x.jpg')).rejects.toThrow(
    /expected an array of images \(paths, bytes or pixels\), got string/,
  );
  await expect(embed(Buffer.alloc(3))).rejects.toThrow(/expected an array of images .*, got bytes/);
});
