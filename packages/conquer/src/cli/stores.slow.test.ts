import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { RunFolder } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embedFolder } from '../retrieve/embed-folder.js';
import { openIndex } from '../retrieve/open-index.js';
import { openModel } from '../retrieve/open-model.js';
import { serve } from '../serve/serve.js';
import { drawnExperiment, saveDrawn } from '../testing/saved-run.js';
import { type Place, STORE_KINDS } from '../testing/store-kinds.js';
import { runCalibrate } from './commands/calibrate.js';
import { runIndex } from './commands/index-images.js';
import { runItems } from './commands/items.js';
import { runSearch } from './commands/search.js';

// The commands on every store: they answer what they answer on an index in a folder.

const CLASSES = 12;
const disc = (label: number, image: number) =>
  discSvg({
    width: 40,
    x: 8 + (label % 5) * 6 + image / 2,
    y: 16,
    r: 8,
    fill: `hsl(${30 * label},90%,${50 + image}%)`,
  });
let folder: string;
let photos: string;
let run: string;

/** Takes what is printed. */
class Text extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

async function index(given: object, path = photos) {
  const [out, progress] = [new Text(), new Text()];
  const usual = {
    run,
    folder: path,
    checkpoint: 'best',
    threads: null,
    onBadImage: 'skip',
    json: true,
  } as const;
  await runIndex({ ...usual, ...given, out, progress });
  return JSON.parse(out.text) as { index: string; images: number; embedded: number; removed: number };
}

async function search(file: string, more: object = {}) {
  const [out, warnings] = [new Text(), new Text()];
  const image = join(photos, 'class-3/1.svg');
  await runSearch({ file, images: [image], top: '5', json: true, ...more, out, warnings });
  return JSON.parse(out.text) as { matches: { id: string; similarity: number; probability?: number }[] };
}

async function calibrated(path: string) {
  const out = new Text();
  await runCalibrate({ path, json: true, given: {}, out, progress: new Text() });
  return JSON.parse(out.text) as { images: number; classes: number };
}

beforeAll(async () => {
  folder = temporaryFolder();
  photos = join(folder, 'photos');
  for (let label = 0; label < CLASSES; label++) {
    mkdirSync(join(photos, `class-${label}`), { recursive: true });
    for (let image = 0; image < 3; image++)
      writeFileSync(join(photos, `class-${label}/${image}.svg`), disc(label, image));
  }
  run = join(folder, 'run');
  const experiment = drawnExperiment();
  saveDrawn(RunFolder.create(run, experiment).bestCheckpoint, experiment, 1);
  await index({ file: join(folder, 'own.index') });
});

describe.each(STORE_KINDS)('$kind', { timeout: 120_000 }, ({ start }) => {
  let place: Place;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    ({ place, stop } = await start());
  }, 120_000);
  afterAll(async () => await stop());

  it('is filled, searched, calibrated and changed by the commands', async () => {
    const own = join(folder, 'own.index');
    const store = place('commands');
    expect(await index({ store })).toMatchObject({ images: 36, embedded: 36, removed: 0 });
    expect(await search(store)).toEqual(await search(own));
    const classes = { classify: true, per: 'image' };
    expect(await search(store, classes)).toEqual(await search(own, classes));
    const { matches } = await search(store, { label: 'class-7' });
    expect(matches.map(({ id }) => id.split('/')[0])).toEqual(['class-7', 'class-7', 'class-7']);
    expect(await index({ store })).toMatchObject({ images: 36, embedded: 0, removed: 0 });
    expect(await calibrated(store)).toMatchObject({ images: 36, classes: CLASSES });
    const [match] = (await search(store)).matches;
    expect(match!.probability).toBeGreaterThan(0.5);
    const items = { index: store, out: new Text(), progress: new Text() };
    await runItems({ ...items, remove: ['class-3/0.svg'] });
    await runItems({ ...items, add: [join(photos, 'class-3/2.svg')], id: 'again', label: ['one'] });
    await runItems(items);
    expect(items.out.text).toMatch(/36 items with 36 images/);
    expect(items.out.text).toMatch(/"id":"again","labels":\["one"\]/);
    const other = join(folder, 'others');
    mkdirSync(other, { recursive: true });
    writeFileSync(join(other, 'a.svg'), disc(1, 1));
    if (!store.startsWith('usearch:'))
      await expect(index({ store }, other)).rejects.toThrow(/is an index of .*photos: name another store/);
    await expect(search(place('none'))).rejects.toThrow(/expected an? (index|folder|file)/);
  });

  it('leaves nothing of an index whose first images cannot be read', async () => {
    const [store, broken] = [place('broken'), join(folder, 'broken')];
    mkdirSync(broken, { recursive: true });
    writeFileSync(join(broken, 'a.jpg'), 'no image');
    await expect(index({ store }, broken)).rejects.toThrow(/none of its 1 images can be read/);
    await expect(search(store)).rejects.toThrow(/expected an? (index|folder|file)/);
    const path = store.slice(store.indexOf(':') + 1);
    if (!store.startsWith('pgvector:')) expect(existsSync(path)).toBe(false);
    // One that was there stays, with what it holds.
    await index({ store });
    await expect(index({ store }, broken)).rejects.toThrow();
    expect((await search(store)).matches).toHaveLength(5);
  });

  it('answers a service, which changes it', async () => {
    const store = place('served');
    await index({ store });
    const service = await serve({ index: store.replace('usearch:', ''), port: 0 });
    const ask = async (route: string, method = 'POST', more: Record<string, string> = {}) => {
      const body = new FormData();
      body.append('image', new Blob([disc(3, 1)]));
      for (const [name, value] of Object.entries(more)) body.append(name, value);
      const response = await fetch(new URL(route, service.url), {
        method,
        ...(method === 'POST' && { body }),
      });
      return { status: response.status, body: (await response.json()) as unknown };
    };
    try {
      const { body } = await ask('search?top=3&classify=true');
      expect(body).toMatchObject({
        matches: [[{ id: 'class-3/1.svg' }, {}, {}]],
        classes: [{ label: 'class-3' }],
      });
      expect((await ask('items', 'POST', { id: 'new', labels: 'x' })).status).toBe(200);
      expect((await ask('items', 'POST', { id: 'new' })).status).toBe(409);
      expect((await ask('items?limit=2', 'GET')).body).toMatchObject({ count: 37 });
      expect((await ask('items/new', 'DELETE')).status).toBe(200);
      expect((await ask('items/new', 'DELETE')).status).toBe(404);
    } finally {
      await service.close();
    }
    using model = await openIndex(store);
    expect(await model.search(join(photos, 'class-5/0.svg'), { k: 1 })).toMatchObject([
      { id: 'class-5/0.svg' },
    ]);
    expect(model.index.count).toBe(36);
  });
});

it.each(['lancedb', 'sqlite'])('makes no folders above %s', async (kind) => {
  const missing = join(folder, 'missing');
  const store = `${kind}:${join(missing, 'photos')}`;
  await expect(index({ store })).rejects.toThrow(`cannot be written: there is no folder ${missing}`);
  expect(existsSync(missing)).toBe(false);
});

it('a store takes what was embedded in shards', async () => {
  const out = join(folder, 'rows.safetensors');
  const store = `sqlite:${join(folder, 'shards.db')}`;
  {
    using model = await openModel(run);
    for (const number of [1, 2]) {
      const { file } = await embedFolder(model, photos, { out, shard: { number, count: 2 } });
      await index({ store }, file);
    }
  }
  const idsOf = async (path: string) => (await search(path)).matches.map(({ id }) => id);
  expect(await idsOf(store)).toEqual(await idsOf(join(folder, 'own.index')));
  expect(await index({ store })).toMatchObject({ images: 36, embedded: 0, removed: 0 });
});
