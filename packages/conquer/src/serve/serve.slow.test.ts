import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { RunFolder, UserError } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { openModel } from '../retrieve/open-model.js';
import { drawnExperiment, saveDrawn } from '../testing/saved-run.js';
import { type ServeOptions, type Service, serve } from './serve.js';

let folder: string;
let photos: string;
let run: string;
const services: Service[] = [];

const disc = (hue: number, x = 20) =>
  new TextEncoder().encode(discSvg({ width: 40, x, y: 16, r: 8 + (hue % 7), fill: `hsl(${hue},90%,50%)` }));
const photo = (label: number, image: number) => join(photos, `class-${label}`, `${image}.svg`);

beforeAll(() => {
  folder = temporaryFolder();
  photos = join(folder, 'photos');
  for (let label = 0; label < 4; label++) {
    mkdirSync(join(photos, `class-${label}`), { recursive: true });
    for (let image = 0; image < 3; image++) writeFileSync(photo(label, image), disc(90 * label + 5 * image));
  }
  run = join(folder, 'run');
  const experiment = drawnExperiment();
  saveDrawn(RunFolder.create(run, experiment).bestCheckpoint, experiment, 1);
});

afterAll(async () => {
  for (const service of services) await service.close();
});

let made = 0;

/** An index of all photos; its path. */
async function indexed(): Promise<string> {
  const path = join(folder, `${made++}.index`);
  using model = await openModel(run);
  const { index } = await indexFolder(model, photos);
  index.save(path);
  index.dispose();
  return path;
}

async function started(options: ServeOptions): Promise<Service> {
  const service = await serve({ port: 0, ...options });
  services.push(service);
  return service;
}

type Body = RequestInit['body'];

const svg = { 'Content-Type': 'image/svg+xml' };

const send = (service: Service, path: string, init: RequestInit = {}) =>
  fetch(new URL(path, service.url), init);
// biome-ignore lint/suspicious/noExplicitAny: whatever the service answers
async function answer(service: Service, path: string, init: RequestInit = {}): Promise<any> {
  const response = await send(service, path, init);
  const body = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 200 });
  return body;
}
const post = (service: Service, path: string, image: Uint8Array) =>
  answer(service, path, { method: 'POST', body: image as Body, headers: svg });

function form(images: readonly Uint8Array[], fields: Record<string, string> = {}): FormData {
  const data = new FormData();
  for (const image of images) data.append('image', new Blob([image as Uint8Array<ArrayBuffer>]));
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return data;
}

describe('a service of an index', () => {
  let service: Service;
  let path: string;

  beforeAll(async () => {
    path = await indexed();
    service = await started({ index: path });
  });

  it('embeds images as the model does, alone and several', async () => {
    using model = await openModel(run);
    const bytes = [readFileSync(photo(0, 0)), readFileSync(photo(2, 1))];
    const rows = await model.embed(bytes);
    const { embeddings } = await answer(service, 'embed', { method: 'POST', body: form(bytes) });
    expect(embeddings.flat()).toEqual([...rows].map((value) => expect.closeTo(value, 5)));
    const alone = await post(service, 'embed', bytes[1]!);
    expect(alone.embeddings[0]).toEqual(embeddings[1].map((value: number) => expect.closeTo(value, 5)));
  });

  it('finds items of a label alone', async () => {
    const { matches } = await post(service, 'search?top=3&label=class-2', readFileSync(photo(1, 2)));
    expect(matches[0].map(({ labels }: { labels: string[] }) => labels)).toEqual(Array(3).fill(['class-2']));
    expect((await post(service, 'search?label=nothing', readFileSync(photo(1, 2)))).matches).toEqual([[]]);
  });

  it('finds what is most like an image, itself first', async () => {
    const { matches } = await post(service, 'search?top=4', readFileSync(photo(1, 2)));
    expect(matches).toHaveLength(1);
    expect(matches[0]).toHaveLength(4);
    const [first] = matches[0];
    expect(first).toMatchObject({
      id: 'class-1/2.svg',
      labels: ['class-1'],
      path: 'class-1/2.svg',
      image: 0,
    });
    expect(first.similarity).toBeGreaterThan(0.9999);
    const similarities = matches[0].map(({ similarity }: { similarity: number }) => similarity);
    expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
  });

  it('says how alike two images are, and which parts make them so', async () => {
    const two = [readFileSync(photo(0, 0)), readFileSync(photo(0, 0))];
    const same = await answer(service, 'verify', { method: 'POST', body: form(two) });
    expect(same.similarity).toBeCloseTo(1, 5);
    const { explanation } = await answer(service, 'verify?explain=true', { method: 'POST', body: form(two) });
    const parts: number[][] = explanation.parts;
    expect(parts.map(({ length }) => length)).toEqual(Array(7).fill(7));
    // Covering any part of an image makes it less like itself.
    expect(Math.min(...parts.flat())).toBeGreaterThanOrEqual(0);
    expect(explanation.seen).toEqual({
      left: expect.closeTo((1 - (24 / 28) * (32 / 40)) / 2, 6),
      top: expect.closeTo((1 - 24 / 28) / 2, 6),
      width: expect.closeTo((24 / 28) * (32 / 40), 6),
      height: expect.closeTo(24 / 28, 6),
    });
  });

  it('adds, lists and removes items, which are on the disk when it answers', async () => {
    const item = { id: 'new/1', labels: '["disc","blue"]', payload: '{"price":3}' };
    const body = form([disc(200), disc(210)], item);
    const added = await answer(service, 'items', { method: 'POST', body });
    expect(added).toEqual({ added: 'new/1', count: 13 });
    {
      using index = ImageIndex.open(path);
      expect([index.count, index.item('new/1')?.images.length]).toEqual([13, 2]);
    }
    const again = await send(service, 'items', { method: 'POST', body: form([disc(200)], { id: 'new/1' }) });
    expect([again.status, await again.json()]).toEqual([
      409,
      { status: 409, error: expect.stringMatching(/holds an item new\/1 already/) },
    ]);
    const { matches } = await post(service, 'search?top=1', disc(210));
    expect(matches[0][0]).toMatchObject({
      id: 'new/1',
      labels: ['disc', 'blue'],
      payload: { price: 3 },
      path: null,
      image: 1,
    });
    const ids: string[] = [];
    for (let next: string | null = ''; next !== null; ) {
      const page: { items: { id: string }[]; next: string | null } = await answer(
        service,
        `items?limit=5${next === '' ? '' : `&after=${encodeURIComponent(next)}`}`,
      );
      ids.push(...page.items.map(({ id }) => id));
      next = page.next;
    }
    expect(ids).toHaveLength(13);
    expect(ids.at(-1)).toBe('new/1');
    const removed = await answer(service, `items/${encodeURIComponent('new/1')}`, { method: 'DELETE' });
    expect(removed).toEqual({ removed: 'new/1', count: 12 });
    using index = ImageIndex.open(path);
    expect([index.count, index.item('new/1')]).toEqual([12, undefined]);
  });

  it.each([
    ['POST', 'search', 'no image', svg, 422, /^the image cannot be read: /],
    ['POST', 'search', '', svg, 400, /got an empty body$/],
    ['POST', 'search', 'text', { 'Content-Type': 'text/plain' }, 415, /got text\/plain$/],
    [
      'POST',
      'search',
      '--',
      { 'Content-Type': 'multipart/form-data; boundary=x' },
      400,
      /^the form cannot be read/,
    ],
    ['POST', 'search?top=0', disc(0), svg, 400, /^the query's top: /],
    ['POST', 'search?explain=yes', disc(0), svg, 400, /explain: expected one of true, false, got "yes"$/],
    [
      'POST',
      'search?topp=1',
      disc(0),
      svg,
      400,
      /parameter topp \(did you mean top\?\); expected some of top, /,
    ],
    ['POST', 'verify', disc(0), svg, 400, /^expected a form of two images, got 1$/],
    ['POST', 'items', form([disc(0)]), {}, 400, /^expected a field id/],
    [
      'POST',
      'items',
      form([disc(0)], { id: 'x', payload: '{' }),
      {},
      400,
      /^the field payload is no JSON.*, got "\{"$/,
    ],
    [
      'POST',
      'items',
      form([disc(0)], { id: 'x', labels: '[1]' }),
      {},
      400,
      /a JSON list of texts, got "\[1\]"$/,
    ],
    ['POST', 'items', form([disc(0)], { id: 'x', colour: 'red' }), {}, 400, /got the text colour$/],
    [
      'POST',
      'embed',
      form([disc(0), new Uint8Array([1, 2])]),
      {},
      422,
      /^image 2 of the request cannot be read/,
    ],
    [
      'POST',
      'embed',
      form(Array(65).fill(disc(0))),
      {},
      413,
      /^expected at most 64 images in a request, got 65$/,
    ],
    ['DELETE', 'items/none', undefined, {}, 404, /^the index holds no item none$/],
    ['GET', 'items?after=none', undefined, {}, 404, /no item none to go on after/],
    ['GET', 'nowhere', undefined, {}, 404, /^there is no \/nowhere/],
    ['PUT', 'items', undefined, {}, 405, /^\/items takes GET and POST, got PUT$/],
    [
      'DELETE',
      'items/a/b.png',
      undefined,
      {},
      404,
      /^there is no \/items\/a\/b\.png: write each \/ of an id as %2F$/,
    ],
  ])('%s %s: %s', async (method, route, body, headers, status, message) => {
    const response = await send(service, route, {
      method,
      headers,
      ...(body !== undefined && { body: body as Body }),
    });
    expect([response.status, await response.json()]).toEqual([
      status,
      { status, error: expect.stringMatching(message) },
    ]);
  });

  it('answers many at once, together', async () => {
    const before = await (await send(service, 'metrics')).text();
    const images = Array.from({ length: 60 }, (_, at) => readFileSync(photo(at % 4, at % 3)));
    const found = await Promise.all(images.map((image) => post(service, 'search?top=1', image)));
    expect(found.map(({ matches }) => matches[0][0].id)).toEqual(
      images.map((_, at) => `class-${at % 4}/${at % 3}.svg`),
    );
    const after = await (await send(service, 'metrics')).text();
    const counted = (text: string, name: string) =>
      Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]);
    const grown = (name: string) => counted(after, name) - counted(before, name);
    expect(grown('conquer_embedded_images_total')).toBe(60);
    expect(grown('conquer_batch_images_count')).toBeLessThan(60);
    expect(after).toContain('conquer_requests_total{route="/search",status="200"}');
  });

  it('says what it is, in words for people, machines and Prometheus', async () => {
    const health = await answer(service, 'health');
    expect(health).toEqual({
      status: 'ok',
      model: run,
      dimensions: 16,
      index: { path, items: 12 },
      calibration: null,
      waiting: 0,
    });
    const document = await answer(service, 'openapi.json');
    expect(Object.keys(document.paths).sort()).toEqual(
      ['/embed', '/health', '/items', '/items/{id}', '/search', '/verify'].sort(),
    );
    const page = await send(service, '');
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'/);
    expect(await page.text()).toMatch(/^<!doctype html>/);
  });

  it('takes what another process wrote, and loses no request over it', async () => {
    const stop = { asked: false };
    let answered = 0;
    const asking = (async () => {
      while (!stop.asked) {
        const { matches } = await post(service, 'search?top=1', readFileSync(photo(3, 0)));
        expect(matches[0][0].id).toBe('class-3/0.svg');
        answered++;
      }
    })();
    await expect.poll(() => answered).toBeGreaterThan(0);
    {
      using index = ImageIndex.open(path);
      index.remove(['class-0/0.svg']);
      index.save(path);
    }
    await expect
      .poll(async () => (await answer(service, 'health')).index.items, { timeout: 10_000 })
      .toBe(11);
    const before = answered;
    await expect.poll(() => answered, { timeout: 10_000 }).toBeGreaterThan(before);
    stop.asked = true;
    await asking;
  });
});

it('changes nothing where the index on the disk is another model’s, or gone, however often it is asked', async () => {
  const path = await indexed();
  const service = await started({ index: path, model: run });
  const other = join(folder, 'other-run');
  const experiment = drawnExperiment();
  saveDrawn(RunFolder.create(other, experiment).bestCheckpoint, experiment, 2);
  using model = await openModel(other);
  const { index } = await indexFolder(model, photos);
  rmSync(path, { recursive: true });
  index.save(path);
  index.dispose();
  const asked = async () =>
    (await send(service, 'items', { method: 'POST', body: form([disc(7)], { id: 'new' }) })).status;
  const listed = async () => (await answer(service, 'items')).items.map(({ id }: { id: string }) => id);
  expect([await asked(), await asked()]).toEqual([422, 422]);
  expect(await listed()).not.toContain('new');
  rmSync(path, { recursive: true });
  expect([await asked(), await asked()]).toEqual([422, 422]);
  expect(existsSync(path)).toBe(false);
});

describe('a service of an index of prefixes', () => {
  it('embeds as the index was made', async () => {
    const path = join(folder, 'prefixes.index');
    const model = await openModel(run);
    const { index } = await indexFolder(model.atTestTime({ prefix: 8 }), photos);
    index.save(path);
    index.dispose();
    model.close();
    const service = await started({ index: path });
    expect((await answer(service, 'health')).dimensions).toBe(8);
    const { matches } = await post(service, 'search?top=1&explain=true', readFileSync(photo(2, 0)));
    expect(matches[0][0]).toMatchObject({ id: 'class-2/0.svg', explanation: { parts: expect.any(Array) } });
  });
});

it('a file of weights is a model of an index, where they are those that made it', async () => {
  const path = await indexed();
  const [file, other] = [join(folder, 'copied.safetensors'), join(folder, 'other.safetensors')];
  cpSync(RunFolder.open(run).bestCheckpoint, file);
  saveDrawn(other, drawnExperiment(), 2);
  const service = await started({ index: path, model: file });
  expect((await post(service, 'search?top=1', readFileSync(photo(1, 2)))).matches[0][0].id).toBe(
    'class-1/2.svg',
  );
  await expect(serve({ index: path, model: other, port: 0 })).rejects.toThrow(/made with other weights/);
});

describe('limits', () => {
  it('refuse what is too large, each with its status and line', async () => {
    const service = await started({ model: run, limits: { bodyBytes: 20_000, pixels: 2000, seconds: 20 } });
    const bytes = await send(service, 'embed', {
      method: 'POST',
      body: new Uint8Array(30_000),
      headers: svg,
    });
    expect([bytes.status, await bytes.json()]).toEqual([
      413,
      { status: 413, error: 'expected a body of at most 20000 bytes: send fewer or smaller images' },
    ]);
    const large = discSvg({ width: 80, height: 60, x: 20, y: 16, r: 8, fill: 'red' });
    const pixels = await send(service, 'embed', { method: 'POST', body: large, headers: svg });
    expect([pixels.status, await pixels.json()]).toEqual([
      422,
      { status: 422, error: 'the image cannot be read: expected at most 2000 pixels, got 80×60' },
    ]);
    const search = await send(service, 'search', { method: 'POST', body: disc(0) as Body, headers: svg });
    expect([search.status, await search.json()]).toEqual([
      404,
      { status: 404, error: expect.stringMatching(/^there is no index here, only a model/) },
    ]);
    expect((await answer(service, 'health')).index).toBeNull();
  });

  it('send away what has to wait behind too many', async () => {
    const service = await started({ model: run, limits: { waitingImages: 4 } });
    const all = await Promise.all(
      Array.from({ length: 40 }, () =>
        send(service, 'embed', { method: 'POST', body: form([disc(1), disc(2)]) }),
      ),
    );
    const away = all.filter(({ status }) => status === 503);
    expect(away.length).toBeGreaterThan(0);
    expect(away[0]!.headers.get('retry-after')).toBe('1');
    expect(all.filter(({ status }) => status === 200).length + away.length).toBe(40);
  });
});

describe('access', () => {
  it('is for who has the token, where there is one', async () => {
    const token = 'a-token-of-some-length';
    const service = await started({ model: run, token });
    const body = disc(0) as Body;
    const without = await send(service, 'embed', { method: 'POST', body, headers: svg });
    expect([without.status, without.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const wrong = { ...svg, Authorization: `Bearer ${token}x` };
    expect((await send(service, 'embed', { method: 'POST', body, headers: wrong })).status).toBe(401);
    expect((await send(service, 'metrics')).status).toBe(401);
    expect((await send(service, 'health')).status).toBe(200);
    const right = { ...svg, Authorization: `Bearer ${token}` };
    expect((await send(service, 'embed', { method: 'POST', body, headers: right })).status).toBe(200);
  });

  it('is not for pages elsewhere whose name leads here', async () => {
    const service = await started({ model: run });
    const status = await new Promise((done) => {
      httpRequest(
        { port: service.port, path: '/health', headers: { Host: 'elsewhere.example' } },
        (response) => done(response.statusCode),
      ).end();
    });
    expect(status).toBe(403);
  });

  it('is by token alone where other machines can reach it', async () => {
    const service = await started({ model: run, host: '0.0.0.0' });
    expect(service.token).toMatch(/^[\w-]{16,}$/);
  });
});

describe('an end', () => {
  it('comes when all that is under way is answered', async () => {
    const service = await started({ model: run });
    const asked = Array.from({ length: 20 }, (_, hue) => post(service, 'embed', disc(hue)));
    // So that they have arrived: a connection that is not there yet is refused.
    await expect.poll(async () => (await answer(service, 'health')).waiting).toBeGreaterThan(0);
    await service.close();
    await service.closed;
    const answered = await Promise.allSettled(asked);
    expect(answered.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
    for (const one of answered)
      if (one.status === 'rejected')
        expect(String(one.reason.cause ?? one.reason)).toMatch(/ECONNREFUSED|ECONNRESET/);
  });
});

describe('a beginning', () => {
  it('is refused in a line where it cannot be', async () => {
    await expect(serve({})).rejects.toThrow(/expected an index or a model, got neither/);
    await expect(serve({ index: join(folder, 'none') })).rejects.toThrow(UserError);
    await expect(serve({ model: run, token: 'short' })).rejects.toThrow(/expected a token of at least 16/);
    const service = await started({ model: run });
    await expect(serve({ model: run, port: service.port })).rejects.toThrow(/port \d+ is taken/);
    await expect(serve({ model: run, limits: { pixels: 0 } })).rejects.toThrow(/limits\.pixels above 0/);
  });
});
