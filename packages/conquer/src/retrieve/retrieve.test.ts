import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunFolder, UserError } from '@conquer/run';
import { Generator, liveTensors, randn, scope } from '@conquer/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFolder } from '../datasets/folder.js';
import { buildImages } from '../experiment/build.js';
import { drawnExperiment, drawnModel, saveDrawn } from '../testing/saved-run.js';
import { embedImages } from '../train/embed.js';
import { trainEmbedding } from '../train/train-embedding.js';
import { ImageIndex } from './image-index.js';
import { indexFolder } from './index-folder.js';
import { TrainedModel } from './trained-model.js';

let folder: string;
let images: string;
let run: string;

function draw(path: string, hue: number): void {
  const disc = `<circle cx="20" cy="16" r="${8 + (hue % 7)}" fill="hsl(${hue},90%,50%)"/>`;
  writeFileSync(path, `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="32">${disc}</svg>`);
}

const experiment = drawnExperiment();
const save = (path: string, seed: number, saved = experiment) => saveDrawn(path, saved, seed);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-retrieve-'));
  images = join(folder, 'images');
  for (let label = 0; label < 4; label++) {
    mkdirSync(join(images, `class-${label}`), { recursive: true });
    for (let image = 0; image < 3; image++)
      draw(join(images, `class-${label}`, `${image}.svg`), 90 * label + 5 * image);
  }
  run = join(folder, 'run');
  save(RunFolder.create(run, experiment).bestCheckpoint, 1);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('TrainedModel', () => {
  it("embeds files as the run's evaluation does", async () => {
    const dataset = await openFolder({ folder: images });
    using network = drawnModel(1);
    const data = await buildImages(experiment, dataset, network.backbone.input, { bad: null }, {});
    using expected = await embedImages(network, data.plain('test'));
    using model = TrainedModel.open(run);
    using found = await model.embed(dataset.test.paths, { batchSize: 4 });
    expect(found.shape).toEqual([6, 16]);
    // Batches of another size round differently.
    expect(scope(() => found.sub(expected).abs().max().item())).toBeLessThan(1e-5);
  });

  it('says what is missing', () => {
    expect(() => TrainedModel.open(images)).toThrow(/there is no run in/);
    expect(() => TrainedModel.open(run, { checkpoint: 'last' })).toThrow(/no last checkpoint yet/);
    const other = join(folder, 'other');
    const { model: _, ...headless } = experiment;
    save(RunFolder.create(other, headless).bestCheckpoint, 1);
    expect(() => TrainedModel.open(other)).toThrow(/config\.json was changed .*: model was taken out;/);
  });

  it('refuses a checkpoint of another network in one line, and frees what it made', () => {
    const other = join(folder, 'wider');
    const wider = drawnExperiment({ model: { backbone: { name: 'small-resnet', widths: [8, 32] } } });
    save(RunFolder.create(other, wider).bestCheckpoint, 1, wider);
    const before = liveTensors();
    expect(() => TrainedModel.open(other)).toThrow(UserError);
    expect(() => TrainedModel.open(other)).toThrow(/does not hold the network that .*config\.json describes/);
    expect(liveTensors()).toBe(before);
  });

  it('refuses a config.json that was edited since, naming what differs', () => {
    const edited = join(folder, 'edited');
    save(RunFolder.create(edited, drawnExperiment({ model: { embeddingDim: 32 } })).bestCheckpoint, 1);
    const before = liveTensors();
    expect(() => TrainedModel.open(edited)).toThrow(
      /config\.json was changed .*: model\.embeddingDim: 16 → 32; /,
    );
    expect(liveTensors()).toBe(before);
  });

  it('opens what trainEmbedding() trained, of any shape', async () => {
    const before = liveTensors();
    const path = join(folder, 'trained');
    await trainEmbedding({
      dataset: await openFolder({ folder: images }),
      run: path,
      arch: {
        name: 'small-resnet',
        widths: [4, 8],
        depths: [1, 2],
        shortcut: 'strided',
        stem: { stride: 1 },
      },
      embeddingDim: 8,
      numLearners: 2,
      epochs: 1,
      batchSize: 4,
      samplesPerClass: 2,
      imageSize: 16,
    });
    expect(liveTensors()).toBe(before);
    using model = TrainedModel.open(path);
    expect(model.model.stateDict().has('layer2.1.conv1.weight')).toBe(true);
    expect(RunFolder.open(path).settings()['data.dataset.folder']).toBe(images);
  });
});

const pathsIn = (index: ImageIndex) => index.contents.items.map(({ path }) => path);

describe('an index', () => {
  it('finds each image itself first, then its class, after it was saved and opened', async () => {
    const before = liveTensors();
    {
      using model = TrainedModel.open(run);
      const { index, embedded, removed } = await indexFolder(model, images);
      expect([index.count, embedded, removed]).toEqual([12, 12, 0]);
      const file = join(folder, 'saved.safetensors');
      index.save(file);
      index.dispose();
      using opened = ImageIndex.open(file);
      expect(opened.contents.origin).toMatchObject({ run, folder: images, sha256: model.sha256 });
      const query = join(images, 'class-2/1.svg');
      using queries = await model.embed([query, join(images, 'class-0/0.svg')]);
      const [first, second] = opened.search(queries, 3);
      expect(first?.[0]).toEqual({
        id: 'class-2/1.svg',
        path: query,
        label: 'class-2',
        payload: null,
        distance: expect.closeTo(0, 3),
      });
      expect(first?.map(({ label }) => label)).toEqual(['class-2', 'class-2', 'class-2']);
      expect(second?.[0]?.path).toBe(join(images, 'class-0/0.svg'));
      expect(first?.map(({ distance }) => distance)).toEqual(
        first?.map(({ distance }) => distance).sort((a, b) => a - b),
      );
    }
    expect(liveTensors()).toBe(before);
  });

  it('embeds again what is new or has changed, and forgets what is gone', async () => {
    const photos = join(folder, 'photos');
    mkdirSync(join(photos, 'deep/er'), { recursive: true });
    draw(join(photos, 'a.svg'), 0);
    draw(join(photos, 'deep/er/b.SVG'), 120);
    draw(join(photos, 'c.svg'), 240);
    writeFileSync(join(photos, 'notes.txt'), 'no image');
    writeFileSync(join(photos, '.hidden.svg'), 'no image');
    using model = TrainedModel.open(run);
    const first = await indexFolder(model, photos);
    expect(pathsIn(first.index)).toEqual(['a.svg', 'c.svg', 'deep/er/b.SVG']);

    rmSync(join(photos, 'c.svg'));
    draw(join(photos, 'a.svg'), 60);
    utimesSync(join(photos, 'a.svg'), 1e9, 1e9);
    draw(join(photos, 'd.svg'), 300);
    const again = await indexFolder(model, photos, { previous: first.index });
    expect([again.embedded, again.removed]).toEqual([2, 1]);
    using whole = (await indexFolder(model, photos)).index;
    const difference = scope(() => again.index.embeddings.sub(whole.embeddings).abs().max().item());
    expect(difference).toBeLessThan(1e-5);
    expect(pathsIn(again.index)).toEqual(['a.svg', 'd.svg', 'deep/er/b.SVG']);

    // Another model's embeddings are of no use.
    const other = join(folder, 'other-weights');
    save(RunFolder.create(other, experiment).bestCheckpoint, 2);
    using stranger = TrainedModel.open(other);
    const anew = await indexFolder(stranger, photos, { previous: again.index });
    expect(anew.embedded).toBe(3);
    for (const { index } of [first, again, anew]) index.dispose();
  });

  it('leaves out what cannot be read, and says so', async () => {
    const broken = join(folder, 'broken');
    mkdirSync(broken);
    for (const [i, name] of ['a.svg', 'b.svg', 'c.svg'].entries()) draw(join(broken, name), 100 * i);
    writeFileSync(join(broken, 'b.png'), 'nonsense');
    using model = TrainedModel.open(run);
    const warnings: string[] = [];
    using index = (await indexFolder(model, broken, { onWarning: (text) => warnings.push(text) })).index;
    expect(pathsIn(index)).toEqual(['a.svg', 'b.svg', 'c.svg']);
    expect(warnings).toEqual([expect.stringMatching(/b\.png: .*; it is left out$/)]);
  });

  it('does not index by damaged weights, nor open an index that holds NaN', async () => {
    const damaged = join(folder, 'damaged');
    save(RunFolder.create(damaged, experiment).bestCheckpoint, 3);
    using model = TrainedModel.open(damaged);
    const buffers = new Map(model.model.namedBuffers());
    buffers.get('layer2.0.bn2.running_var')?.fill_(-1);
    const before = liveTensors();
    await expect(indexFolder(model, images)).rejects.toThrow(UserError);
    await expect(indexFolder(model, images)).rejects.toThrow(
      /^the embeddings of 12 of 12 images are NaN or infinite \(.*class-0\/0\.svg, .* and others\): the weights are damaged/,
    );
    expect(liveTensors()).toBe(before);

    using sound = TrainedModel.open(run);
    using index = (await indexFolder(sound, images)).index;
    using row = index.embeddings.narrow(0, 4, 1);
    row.fill_(Number.NaN);
    const file = join(folder, 'nan.safetensors');
    index.save(file);
    const live = liveTensors();
    expect(() => ImageIndex.open(file)).toThrow(UserError);
    expect(() => ImageIndex.open(file)).toThrow(
      /nan\.safetensors: the embeddings of 1 of 12 images are NaN or infinite \(class-1\/1\.svg\)/,
    );
    expect(liveTensors()).toBe(live);
  });

  it('says what is wrong with a file or a folder', async () => {
    using model = TrainedModel.open(run);
    await expect(indexFolder(model, join(folder, 'nowhere'))).rejects.toThrow(/expected a folder of images/);
    mkdirSync(join(folder, 'empty'));
    await expect(indexFolder(model, join(folder, 'empty'))).rejects.toThrow(/expected images in it/);
    expect(() => ImageIndex.open(join(folder, 'nowhere'))).toThrow(/the index cannot be read/);
    expect(() => ImageIndex.open(RunFolder.open(run).bestCheckpoint)).toThrow(/is no index of images/);
    using index = (await indexFolder(model, images)).index;
    using queries = randn([1, 8], { generator: new Generator(0) });
    expect(() => index.search(queries, 1)).toThrow(RangeError);
  });
});
