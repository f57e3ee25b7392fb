import { copyFileSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder, UserError } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, randn, scope } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { openFolder } from '../datasets/folder.js';
import { Interrupted } from '../interrupted.js';
import type { TestTimeOptions } from '../models/test-time.js';
import { drawnExperiment, saveDrawn } from '../testing/saved-run.js';
import { trainEmbedding } from '../train/train-embedding.js';
import type { Embedder } from './embedder.js';
import { ImageIndex } from './image-index.js';
import { indexFolder } from './index-folder.js';
import { openIndex } from './open-index.js';
import { openModel } from './open-model.js';

let folder: string;
let images: string;
let run: string;

function draw(path: string, hue: number): void {
  writeFileSync(path, discSvg({ width: 40, x: 20, y: 16, r: 8 + (hue % 7), fill: `hsl(${hue},90%,50%)` }));
}

const experiment = drawnExperiment();
const save = (path: string, seed: number, saved = experiment) => saveDrawn(path, saved, seed);

beforeAll(() => {
  folder = temporaryFolder();
  images = join(folder, 'images');
  for (let label = 0; label < 4; label++) {
    mkdirSync(join(images, `class-${label}`), { recursive: true });
    for (let image = 0; image < 3; image++)
      draw(join(images, `class-${label}`, `${image}.svg`), 90 * label + 5 * image);
  }
  run = join(folder, 'run');
  save(RunFolder.create(run, experiment).bestCheckpoint, 1);
});

describe('openModel', () => {
  it('gives rows of length 1, in batches of any size, and frees all when it is closed', async () => {
    const before = liveTensors();
    const { test } = await openFolder({ folder: images });
    const model = await openModel(run);
    const rows = await model.embed(test.paths);
    expect([model.dim, rows.length]).toEqual([16, 6 * 16]);
    for (let row = 0; row < 6; row++) {
      const numbers = rows.subarray(row * 16, (row + 1) * 16);
      expect(Math.hypot(...numbers)).toBeCloseTo(1, 5);
    }
    const few = await model.embed(test.paths, { batchSize: 4 });
    // Batches of another size round differently.
    expect([...few]).toEqual([...rows].map((value) => expect.closeTo(value, 5)));
    await expect(model.embed(test.paths, { batchSize: 1, signal: AbortSignal.abort() })).rejects.toThrow(
      Interrupted,
    );
    model.close();
    expect(liveTensors()).toBe(before);
  });

  it('opens a checkpoint by itself, which says what it is of', async () => {
    const file = join(folder, 'moved.safetensors');
    copyFileSync(RunFolder.open(run).bestCheckpoint, file);
    using alone = await openModel(file);
    using model = await openModel(run);
    expect(alone).toMatchObject({ source: file, checkpoint: null, id: model.id, view: model.view });
    const paths = [join(images, 'class-0/0.svg')];
    expect(await alone.embed(paths)).toEqual(await model.embed(paths));
    await expect(openModel(file, { checkpoint: 'best' })).rejects.toThrow(/is a checkpoint itself/);
    writeFileSync(file, 'x');
    await expect(openModel(file)).rejects.toThrow(/the checkpoint .*moved\.safetensors cannot be read/);
    await expect(openModel(7 as unknown as string)).rejects.toThrow(/expected the path of a run's folder/);
  });

  it('says what is missing', async () => {
    await expect(openModel(images)).rejects.toThrow(/there is no run in/);
    await expect(openModel('facebook/dinov2-smal@main')).rejects.toThrow(
      /^there is no run in facebook\/dinov2-smal@main, nor a published model of that name \(did you mean facebook\/dinov2-small\?\)/,
    );
    await expect(openModel('resnet18')).rejects.toThrow(/did you mean resnet18\.a1_in1k\?/);
    await expect(openModel('vit_small_patch15_224')).rejects.toThrow(/did you mean vit_small_patch16_224\?/);
    await expect(openModel(run, { checkpoint: 'last' })).rejects.toThrow(/no last checkpoint yet/);
    const other = join(folder, 'other');
    const { model: _, ...headless } = experiment;
    save(RunFolder.create(other, headless).bestCheckpoint, 1);
    await expect(openModel(other)).rejects.toThrow(/config\.json was changed .*: model was taken out;/);
  });

  it('refuses a checkpoint of another network in one line, and frees what it made', async () => {
    const other = join(folder, 'wider');
    const wider = drawnExperiment({ model: { backbone: { name: 'small-resnet', widths: [8, 32] } } });
    save(RunFolder.create(other, wider).bestCheckpoint, 1, wider);
    const before = liveTensors();
    await expect(openModel(other)).rejects.toThrow(UserError);
    await expect(openModel(other)).rejects.toThrow(/does not hold the network that .*config\.json describes/);
    expect(liveTensors()).toBe(before);
  });

  it('refuses a config.json that was edited since, naming what differs', async () => {
    const edited = join(folder, 'edited');
    save(RunFolder.create(edited, drawnExperiment({ model: { embeddingDim: 32 } })).bestCheckpoint, 1);
    const before = liveTensors();
    await expect(openModel(edited)).rejects.toThrow(
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
    using model = await openModel(path);
    expect(model.model.stateDict().has('layer2.1.conv1.weight')).toBe(true);
    expect(RunFolder.open(path).settings()['data.dataset.folder']).toBe(images);
  });
});

const pathsIn = (index: ImageIndex) => [...index.items()].map(({ images }) => images[0]!.path);

describe('an index', () => {
  it('of a prefix and of mirror images says so, and is searched so again', async () => {
    using plain = await openModel(run);
    const ways: Partial<TestTimeOptions>[] = [{ prefix: 5 }, { flips: true }, { crops: 5, prefix: 3 }];
    for (const way of ways) {
      const model = plain.atTestTime(way);
      const file = join(folder, `way-${JSON.stringify(way).replaceAll(/\W/g, '')}.index`);
      using index = (await indexFolder(model, images)).index;
      expect(index.rows('class-1/1.svg')!.shape).toEqual([1, way.prefix ?? 16]);
      index.save(file);
      const search = await openIndex(file);
      // Untrained, it says nearly the same of all of them.
      const found = await search.search(join(images, 'class-1/1.svg'), { k: 12 });
      expect(found.find(({ id }) => id === 'class-1/1.svg')!.similarity).toBeGreaterThan(0.9999);
      search.close();
      expect(() => index.requireEmbedder(plain)).toThrow(/other weights|as .* does not see them/);
    }
  });

  it('finds each image itself first, then its class, after it was saved and opened', async () => {
    const before = liveTensors();
    {
      using model = await openModel(run);
      const { index, embedded, removed } = await indexFolder(model, images);
      expect([index.count, embedded, removed]).toEqual([12, 12, 0]);
      const file = join(folder, 'saved.index');
      index.save(file);
      index.dispose();
      using opened = ImageIndex.open(file);
      expect(opened.origin).toMatchObject({ source: run, folder: images, embedder: model.id });
      const query = join(images, 'class-2/1.svg');
      using queries = await model.embedTensor([query, join(images, 'class-0/0.svg')]);
      const [first, second] = opened.search(queries, 3);
      expect(first?.[0]).toEqual({
        id: 'class-2/1.svg',
        path: query,
        labels: ['class-2'],
        payload: null,
        image: 0,
        similarity: expect.closeTo(1, 6),
      });
      expect(first?.map(({ labels }) => labels[0])).toEqual(['class-2', 'class-2', 'class-2']);
      expect(second?.[0]?.path).toBe(join(images, 'class-0/0.svg'));
      expect(first?.map(({ similarity }) => similarity)).toEqual(
        first?.map(({ similarity }) => similarity).sort((a, b) => b - a),
      );
    }
    expect(liveTensors()).toBe(before);
  });

  it('leaves items that came with an index of another folder', async () => {
    const [own, other] = [join(folder, 'merged/own'), join(folder, 'merged/other')];
    for (const path of [own, other]) mkdirSync(path, { recursive: true });
    draw(join(own, 'a.svg'), 0);
    draw(join(other, 'b.svg'), 120);
    using model = await openModel(run);
    using index = (await indexFolder(model, own)).index;
    using from = (await indexFolder(model, other)).index;
    index.merge(from);
    const { removed } = await indexFolder(model, own, { previous: index });
    expect([removed, [...index.items()].map(({ id }) => id)]).toEqual([0, ['a.svg', 'b.svg']]);
  });

  it('embeds again what is new or has changed, and forgets what is gone', async () => {
    const photos = join(folder, 'photos');
    mkdirSync(join(photos, 'deep/er'), { recursive: true });
    draw(join(photos, 'a.svg'), 0);
    draw(join(photos, 'deep/er/b.SVG'), 120);
    draw(join(photos, 'c.svg'), 240);
    writeFileSync(join(photos, 'notes.txt'), 'no image');
    writeFileSync(join(photos, '.hidden.svg'), 'no image');
    using model = await openModel(run);
    const first = await indexFolder(model, photos);
    expect(pathsIn(first.index)).toEqual(['a.svg', 'c.svg', 'deep/er/b.SVG']);

    rmSync(join(photos, 'c.svg'));
    draw(join(photos, 'a.svg'), 60);
    utimesSync(join(photos, 'a.svg'), 1e9, 1e9);
    draw(join(photos, 'd.svg'), 300);
    const again = await indexFolder(model, photos, { previous: first.index });
    expect([again.embedded, again.removed]).toEqual([2, 1]);
    using whole = (await indexFolder(model, photos)).index;
    expect(again.index).toBe(first.index);
    for (const { id, images } of whole.items()) {
      expect(again.index.item(id)?.images).toEqual(images);
      const difference = scope(() => again.index.rows(id)!.sub(whole.rows(id)!).abs().max().item());
      expect(difference).toBeLessThan(1e-5);
    }
    expect(pathsIn(again.index)).toEqual(['deep/er/b.SVG', 'a.svg', 'd.svg']);

    // Another model's embeddings are of no use.
    const other = join(folder, 'other-weights');
    save(RunFolder.create(other, experiment).bestCheckpoint, 2);
    using stranger = await openModel(other);
    const anew = await indexFolder(stranger, photos, { previous: again.index });
    expect(anew.embedded).toBe(3);
    for (const { index } of [first, again, anew]) index.dispose();
  });

  it('leaves out what cannot be read, and says so', async () => {
    const broken = join(folder, 'broken');
    mkdirSync(broken);
    for (const [i, name] of ['a.svg', 'b.svg', 'c.svg'].entries()) draw(join(broken, name), 100 * i);
    writeFileSync(join(broken, 'b.png'), 'nonsense');
    using model = await openModel(run);
    const warnings: string[] = [];
    using index = (await indexFolder(model, broken, { onWarning: (text) => warnings.push(text) })).index;
    expect(pathsIn(index)).toEqual(['a.svg', 'b.svg', 'c.svg']);
    expect(warnings).toEqual([expect.stringMatching(/b\.png: .*; it is left out$/)]);
  });

  it('does not index by damaged weights, nor open an index that holds NaN', async () => {
    const damaged = join(folder, 'damaged');
    save(RunFolder.create(damaged, experiment).bestCheckpoint, 3);
    using model = await openModel(damaged);
    const buffers = new Map(model.model.namedBuffers());
    buffers.get('layer2.0.bn2.running_var')?.fill_(-1);
    await expect(indexFolder(model, images)).rejects.toThrow(UserError);
    const before = liveTensors(); // with what the model keeps of its weights once it has embedded
    await expect(indexFolder(model, images)).rejects.toThrow(
      /^the embeddings of 12 of 12 images are NaN or infinite \(.*class-0\/0\.svg, .* and others\): the weights are damaged/,
    );
    expect(liveTensors()).toBe(before);

    using sound = await openModel(run);
    using index = (await indexFolder(sound, images)).index;
    using row = index.rows('class-1/1.svg')!;
    row.fill_(Number.NaN);
    const live = liveTensors();
    expect(() => index.update(row, [{ id: 'class-1/1.svg' }])).toThrow(
      /the row of class-1\/1\.svg is not of finite float32 numbers/,
    );
    expect(liveTensors()).toBe(live);
  });

  it("is made by an embedder of one's own too, and searched with it", async () => {
    // As bright as the picture is: by its hue, in its file.
    const hueOf = (path: string) => Number(/hsl\((\d+)/.exec(readFileSync(path, 'utf8'))?.[1]);
    let calls = 0;
    const own: Embedder = {
      id: 'hues 1',
      dim: 2,
      view: null,
      embed: async (paths) => {
        calls += paths.length;
        const angles = paths.map((path) => hueOf(path as string) / 200);
        return Float32Array.from(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
      },
      close() {},
    };
    const first = (await indexFolder(own, images)).index;
    const file = join(folder, 'own-embedder.index');
    first.save(file);
    first.dispose();
    using index = ImageIndex.open(file);
    const none = { source: null, checkpoint: null, preprocessing: null };
    expect(index.origin).toEqual({ folder: images, embedder: 'hues 1', ...none });
    const query = join(images, 'class-2/1.svg');
    const [found] = index.search(await own.embed([query]), 3, { embedder: own });
    expect(found!.map(({ id }) => id)).toEqual(['class-2/1.svg', 'class-2/0.svg', 'class-2/2.svg']);
    const before = calls;
    const again = await indexFolder(own, images, { previous: index });
    expect([again.embedded, calls]).toEqual([0, before]);
    expect(again.index).toBe(index);
    again.index.save(file);
    // Others' rows are none of its, nor its the others'.
    const other = { ...own, id: 'hues 2' };
    expect(() => index.search(new Float32Array(2), 1, { embedder: other })).toThrow(
      /made with other weights than the embedder hues 2 has/,
    );
    using model = await openModel(run);
    expect(() => index.search(new Float32Array(2), 1, { embedder: model })).toThrow(
      /made with other weights/,
    );
    using byRun = (await indexFolder(model, images, { previous: index })).index;
    expect(() => byRun.save(file)).toThrow(/is an index by the embedder hues 1: it is not written over/);
    const short = { ...own, embed: async () => new Float32Array(3) };
    await expect(indexFolder(short, images)).rejects.toThrow(
      /expected a Float32Array of 12 rows of 2 numbers for 12 images, got 3 numbers/,
    );
  });

  it('says what is wrong with a file or a folder', async () => {
    using model = await openModel(run);
    await expect(indexFolder(model, join(folder, 'nowhere'))).rejects.toThrow(/expected a folder of images/);
    mkdirSync(join(folder, 'empty'));
    await expect(indexFolder(model, join(folder, 'empty'))).rejects.toThrow(/expected images in it/);
    expect(() => ImageIndex.open(join(folder, 'nowhere'))).toThrow(
      /nowhere: expected an index that conquer index wrote/,
    );
    expect(() => ImageIndex.open(RunFolder.open(run).bestCheckpoint)).toThrow(/is no index of images/);
    using index = (await indexFolder(model, images)).index;
    using queries = randn([1, 8], { generator: new Generator(0) });
    expect(() => index.search(queries, 1)).toThrow(RangeError);
  });
});
