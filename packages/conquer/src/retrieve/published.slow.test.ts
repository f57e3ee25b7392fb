import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { HubServer, useHub } from '@conquer-dml/testing/hub-server';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, scope, writePth, writeSafetensors } from '@conquer-dml/torch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackbone } from '../models/create-model.js';
import { builtInWeights } from '../models/weights/built-in.js';
import { ImageIndex } from './image-index.js';
import { indexFolder } from './index-folder.js';
import { openModel } from './open-model.js';

const NAME = 'tf_efficientnet_lite0.in1k';
const OTHER = 'efficientnet_lite0.ra_in1k';
let folder = '';
let photos: string[] = [];
let hub: HubServer;
let notes: string[] = [];
let leaveHub = () => {};

beforeEach(async () => {
  folder = temporaryFolder();
  notes = [];
  writeDiscs(join(folder, 'photos'), 1);
  photos = ['00', '01', '02'].map((label) => join(folder, 'photos/images', `class-${label}`, '0.svg'));
  hub = await HubServer.start();
  leaveHub = useHub(hub, join(folder, 'hf'));
});
afterEach(async () => {
  await hub.close();
  leaveHub();
});

const onNote = (text: string) => void notes.push(text);

/** The weights of a network as its repository has them. */
function weightsOf(seed: number): Uint8Array {
  const file = join(folder, `${seed}.safetensors`);
  scope(() => writeSafetensors(file, createBackbone(OTHER, { generator: new Generator(seed) }).stateDict()));
  return readFileSync(file);
}

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

describe('openModel, of what was published', () => {
  it('has a network built in, which needs no hub', async () => {
    const live = liveTensors();
    {
      using model = await openModel(NAME, { onNote });
      expect(model).toMatchObject({ dim: 1280, source: NAME, checkpoint: null });
      expect(model.view).toMatchObject({ size: 224, resize: 256, input: { interpolation: 'bicubic' } });
      const rows = await model.embed(photos);
      const [first, second] = [rows.subarray(0, 1280), rows.subarray(1280, 2560)];
      expect(cosine(first, first)).toBeCloseTo(1, 5);
      expect(cosine(first, second)).toBeLessThan(0.99);
      using again = await openModel(`timm/${NAME}`);
      expect(again.id).toBe(model.id);
    }
    expect(hub.requests).toEqual([]);
    expect(liveTensors()).toBe(live);
  });

  it('is fetched by its name, and opened again from the cache by what it then says it is', async () => {
    hub.repositories.set(`timm/${OTHER}`, {
      files: {
        'config.json': '{"architecture": "efficientnet_lite0"}',
        'model.safetensors': weightsOf(1),
      },
      license: 'apache-2.0',
    });
    using model = await openModel(OTHER, { onNote });
    expect(model.source).toBe(`${OTHER}@${hub.commitOf(`timm/${OTHER}`)}`);
    expect(notes[0]).toBe(`timm/${OTHER}: licence apache-2.0, not gated`);
    const rows = await model.embed(photos);
    hub.requests.length = 0;
    using again = await openModel(model.source);
    expect(hub.requests).toEqual([]);
    expect(again.id).toBe(model.id);
    expect(await again.embed(photos)).toEqual(rows);

    hub.repositories.set(`timm/${OTHER}`, { files: { 'model.safetensors': weightsOf(2) } });
    using other = await openModel(`timm/${OTHER}`);
    expect(other.id).not.toBe(model.id);
    using pinned = await openModel(OTHER, { revision: hub.commitOf(`timm/${OTHER}`) });
    expect(pinned.id).toBe(other.id);
  });

  it("is a folder as timm writes it, with its own statistics; a repository of somebody's by hf-hub:; a file with its network's name", async () => {
    const mine = join(folder, 'mine');
    const config = {
      architecture: 'efficientnet_lite0',
      pretrained_cfg: {
        tag: 'ra_in1k',
        input_size: [3, 224, 224],
        crop_pct: 1,
        mean: [0.1, 0.2, 0.3],
        std: [1, 1, 1],
      },
    };
    const weights = weightsOf(1);
    hub.repositories.set('me/mine', {
      files: { 'config.json': JSON.stringify(config), 'model.safetensors': weights },
    });
    using fetched = await openModel('hf-hub:me/mine');
    expect(fetched.view).toMatchObject({ resize: 224, input: { mean: [0.1, 0.2, 0.3] } });
    renameSync(join(folder, 'hf/hub/models--me--mine/snapshots', hub.commitOf('me/mine')), mine);
    writeFileSync(join(folder, 'x.safetensors'), weights);
    const atHome = join(folder, 'home');
    hub.repositories.clear();
    await expect(openModel(mine)).rejects.toThrow(); // its links lead nowhere from there
    for (const [path, content] of [
      ['config.json', JSON.stringify(config)],
      ['model.safetensors', weights],
    ] as const) {
      mkdirSync(atHome, { recursive: true });
      writeFileSync(join(atHome, path), content);
    }
    using local = await openModel(atHome);
    expect(local).toMatchObject({ id: fetched.id, source: atHome, view: fetched.view });
    const file = join(folder, 'x.safetensors');
    await expect(openModel(file)).rejects.toThrow(/does not say of which network its weights are/);
    using named = await openModel(file, { arch: OTHER });
    expect(named.view?.input.mean).toEqual([0.485, 0.456, 0.406]);
    await expect(openModel(file, { arch: 'mobilenetv2_100.ra_in1k' })).rejects.toThrow(/do not fit/);
    const pth = join(folder, 'x.pth');
    scope(() => writePth(pth, createBackbone(OTHER, { generator: new Generator(1) }).stateDict()));
    using ofPth = await openModel(pth, { arch: OTHER });
    expect(await ofPth.embed(photos)).toEqual(await named.embed(photos));
  });

  it.each([
    ['no/run', {}, /there is no run/],
    ['efficientnet_lite7', {}, /there is no run/],
    [NAME, { checkpoint: 'best' as const }, /is no run: checkpoint is for a run's model/],
    [`timm/${OTHER}`, {}, /there is no such model at http.* \(or it is private: set HF_TOKEN\)/],
    [`${OTHER}@../x`, {}, /expected a branch, a tag or a commit/],
  ])('refuses %s', async (from, options, message) => {
    await expect(openModel(from, options)).rejects.toThrow(message);
    await expect(openModel(from, options)).rejects.toThrow(UserError);
  });

  it('makes an index that finds its images, and is searched by the same weights alone', async () => {
    const file = join(folder, 'x.index');
    using model = await openModel(NAME);
    const { index } = await indexFolder(model, join(folder, 'photos'));
    index.save(file);
    index.dispose();
    using read = ImageIndex.open(file);
    expect(read.origin).toMatchObject({ source: NAME, embedder: model.id, checkpoint: null });
    read.requireEmbedder(model);
    const [found] = read.search(await model.embed([photos[1]!]), 3);
    expect(found![0]).toMatchObject({ id: 'images/class-01/0.svg' });
    expect(found![0]!.similarity).toBeGreaterThan(0.9999);
    using other = await openModel(builtInWeights(), { arch: OTHER });
    expect(() => read.requireEmbedder(other)).toThrow();
  });
});
