import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { accessibilityProblems, openPage, startBrowser } from '@conquer-dml/testing/browser';
import { serveFolders } from '@conquer-dml/testing/static-server';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { exportIndex, exportOnnx, type ImageIndex, indexFolder, openModel } from 'conquer-dml';
import type { Browser, Page } from 'playwright-core';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cosine } from '../../conquer/src/export/compare-graph.js';
import { exactRows } from '../../conquer/src/export/exact-rows.js';
import { drawnPictures } from '../../conquer/src/export/photo-pixels.js';

// What the built-in network gives of files and pixels, beside what this package makes of them in Chromium; and the example's page.

const root = fileURLToPath(new URL('../../..', import.meta.url));
const hasChromium = existsSync('/usr/bin/chromium');

/** Nothing at the left, all at the right of a soft edge. */
const fading = Buffer.from(
  '<svg width="90" height="90"><defs><linearGradient id="a"><stop offset="0.4" stop-opacity="0"/><stop offset="0.6"/></linearGradient></defs><rect width="90" height="90" fill="url(#a)"/></svg>',
);

/** Kinds of files that a browser and conquer read by other decoders. */
const kinds: Record<string, (picture: Sharp) => Sharp> = {
  'plain.jpg': (picture) => picture.jpeg({ quality: 90 }),
  'turned.jpg': (picture) => picture.withMetadata({ orientation: 6 }).jpeg({ quality: 90 }),
  'mirrored.jpg': (picture) => picture.withMetadata({ orientation: 5 }).jpeg({ chromaSubsampling: '4:4:4' }),
  'grey.jpg': (picture) => picture.greyscale().jpeg(),
  'srgb.jpg': (picture) => picture.withIccProfile('srgb').jpeg(),
  'p3.jpg': (picture) => picture.withIccProfile('p3').jpeg(),
  'p3.png': (picture) => picture.withIccProfile('p3').png(),
  'palette.png': (picture) => picture.png({ palette: true }),
  // Within a level: a canvas multiplies by alpha in 8 bits.
  'clear.png': (picture) => picture.composite([{ input: fading, blend: 'dest-in' }]).png(),
  'lossy.webp': (picture) => picture.webp({ quality: 80 }),
  'first.gif': (picture) => picture.gif(),
};

/** A calibration by which the file itself is accepted, and not all others. */
const similarities = () => ({
  ...{ source: 'a test', classes: 2, images: 4, samePairs: 2, differentPairs: 4, refused: [] },
  thresholds: [{ rate: 0.1, similarity: 0.9, interval: [0, 0.2] as const, found: 0.9 }],
  probability: { similarities: [0, 1], probabilities: [0, 1] },
});

let folder: string;
let model: Awaited<ReturnType<typeof openModel>>;
let index: ImageIndex;
let server: Awaited<ReturnType<typeof serveFolders>>;
let browser: Browser;
let page: Page;
const pictures = drawnPictures();

beforeAll(async () => {
  if (!hasChromium) return;
  folder = temporaryFolder();
  for (const [i, [name, as]] of Object.entries(kinds).entries()) {
    const { width, height, data } = pictures[i % 3]!;
    const raw = { width, height, channels: 3 } as const;
    await as(sharp(data, { raw })).toFile(join(folder, name));
  }
  model = await openModel('tf_efficientnet_lite0.in1k');
  await exportOnnx(model, join(folder, 'exported'));
  ({ index } = await indexFolder(model, folder));
  index.calibration = { ...similarities(), embedder: model.id };
  exportIndex(index, join(folder, 'exported/index.safetensors'));
  writeFileSync(join(folder, 'page.html'), '<!doctype html><title>Not found</title>');
  for (const [name, cut] of [
    ['exported/image.onnx', 'cut.onnx'],
    ['exported/index.safetensors', 'cut.safetensors'],
  ] as const)
    writeFileSync(join(folder, cut), readFileSync(join(folder, name)).subarray(0, -1000));
  server = await serveFolders({
    '/examples/': join(root, 'examples'),
    '/pictures/': folder,
    '/browser/': join(root, 'packages/browser/dist'),
    '/node_modules/': join(root, 'node_modules'),
    '/': folder,
  });
  browser = await startBrowser();
  page = await browser.newPage();
  await page.goto(server.url);
  await page.evaluate(`(async () => {
    window.conquer = await import('/browser/index.js');
    window.runtime = await import('/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs');
    window.model = await conquer.openModel('/exported/image.onnx', { runtime });
    window.fileOf = async (name) => (await fetch('/' + name)).blob();
  })()`);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  server?.close();
  model?.close();
  index?.dispose();
});

const inPage = (program: string) => page.evaluate(`(async () => { ${program} })()`);

/** What an expression ends with, which is to be an error. */
const failure = (expression: string) =>
  inPage(`return await (${expression}).then(() => 'nothing', (error) => error.message)`);

describe.skipIf(!hasChromium)('in Chromium', () => {
  it.each(Object.keys(kinds))('%s gives the row that conquer makes of the file', async (name) => {
    const row = (await inPage(`return Array.from(await model.embed(await fileOf('${name}')))`)) as number[];
    const wanted = await model.embed([join(folder, name)]);
    expect(row).toHaveLength(model.dim);
    expect(cosine(row, wanted)).toBeGreaterThan(0.9999);
  });

  it('gives the rows of pixels, in RGB and RGBA, several at a time', async () => {
    const rows = (await inPage(`
      const pictures = ${JSON.stringify(pictures.map(({ width, height, data }) => ({ width, height, text: Buffer.from(data).toString('base64') })))};
      const rows = await Promise.all(pictures.map(({ width, height, text }, i) => {
        const rgb = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        if (i % 2 === 0) return model.embed({ width, height, data: rgb });
        const image = new ImageData(width, height);
        image.data.forEach((_, at) => (image.data[at] = at % 4 === 3 ? 255 : rgb[(at >> 2) * 3 + at % 4]));
        return model.embed(image);
      }));
      return rows.map((row) => Array.from(row));`)) as number[][];
    for (const [i, picture] of pictures.entries()) {
      using wanted = await exactRows(model, picture);
      expect(cosine(rows[i]!, wanted.toNumbers())).toBeGreaterThan(0.99999);
    }
    // They are told apart at all.
    expect(cosine(rows[0]!, rows[2]!)).toBeLessThan(0.95);
  });

  it('finds in an index of 8 bits what conquer finds, and accepts by its threshold', async () => {
    const [first] = await model.embed([join(folder, 'plain.jpg')]).then((row) => index.search(row, 4));
    const found = (await inPage(`
      const index = await conquer.openIndex('/exported/index.safetensors', { model });
      const row = await model.embed(await fileOf('plain.jpg'));
      return { all: index.search(row, 4), sure: index.search(row, 20, { maxFalseMatch: 0.2 }), embedder: model.embedder, thresholds: index.thresholds };
    `)) as Record<'all' | 'sure', { id: string; labels: string[]; similarity: number }[]> & {
      embedder: string;
      thresholds: { rate: number; similarity: number }[];
    };
    expect(found.embedder).toBe(model.id);
    expect(found.all.map(({ id }) => id)).toEqual(first!.map(({ id }) => id));
    expect(found.all[0]).toMatchObject({ id: 'plain.jpg', labels: [], payload: null, image: 0 });
    for (const [i, { similarity }] of found.all.entries())
      expect(similarity).toBeCloseTo(first![i]!.similarity, 2);
    const [threshold] = found.thresholds;
    const accepted = index
      .search(await model.embed([join(folder, 'plain.jpg')]), 20)
      .flat()
      .filter(({ similarity }) => similarity >= threshold!.similarity);
    expect(found.sure.map(({ id }) => id)).toEqual(accepted.map(({ id }) => id));
    expect(found.sure.length).toBeLessThan(Object.keys(kinds).length);
  });

  it('says in one line what is wrong', async () => {
    const open = (path: string) => failure(`conquer.openModel('${path}', { runtime })`);
    expect(await open('/gone.onnx')).toBe(
      '/gone.onnx: expected image.onnx, which conquer export writes, which could not be fetched: HTTP 404',
    );
    expect(await open('/page.html')).toBe(
      '/page.html: expected image.onnx, which conquer export writes; it is no ONNX file',
    );
    expect(await open('/exported/onnx/model.onnx')).toBe(
      '/exported/onnx/model.onnx: expected image.onnx, which conquer export writes; it is a graph that takes pixel_values, not pictures',
    );
    expect(await open('/cut.onnx')).toBe(
      '/cut.onnx: expected image.onnx, which conquer export writes; it is no ONNX file',
    );
    expect(await failure(`conquer.openIndex('/cut.safetensors')`)).toMatch(
      /^\/cut.safetensors: expected index.safetensors, .* it is damaged or cut off$/,
    );
    expect(await failure(`conquer.openIndex('/page.html')`)).toMatch(/it is another file, or cut off$/);
    expect(
      await failure(`conquer.openIndex('/exported/index.safetensors', { model: { embedder: 'b' } })`),
    ).toBe(
      '/exported/index.safetensors: expected rows of the model that is opened, got those of another: export both together',
    );
    expect(await failure(`model.embed(new Blob(['text'], { type: 'text/plain' }))`)).toMatch(
      /^the image cannot be decoded: expected JPEG, .* got text\/plain of 4 bytes/,
    );
    expect(await failure(`model.embed({ width: 2, height: 2, data: new Uint8Array(5) })`)).toBe(
      'pixels: expected 2 × 2 × 3 or 4 bytes of RGB or RGBA, got 5',
    );
    const aborted = `conquer.openModel('/exported/image.onnx', { runtime, signal: AbortSignal.abort(new Error('enough')) })`;
    expect(await failure(aborted)).toBe('enough');
  });

  it('has less than 30 kB', () => {
    const dist = join(root, 'packages/browser/dist');
    const sizes = readdirSync(dist)
      .filter((name) => name.endsWith('.js'))
      .map((name) => statSync(join(dist, name)).size);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(30_000);
  });

  it("the example's page says what a picture is, or that nothing is alike", async () => {
    const { page: example, problems } = await openPage(browser, `${server.url}examples/browser.html`);
    const says = example.locator('#says');
    await expect.poll(() => says.textContent()).toBe(`${Object.keys(kinds).length} pictures are known.`);
    await example.getByLabel('A picture').setInputFiles(join(folder, 'plain.jpg'));
    await expect.poll(() => says.textContent()).toBe('It is most like');
    expect(await example.locator('li').count()).toBe(5);
    expect(await example.locator('li').first().textContent()).toMatch(/^ plain\.jpg, (1\.000|0\.99\d)$/);
    await example.getByLabel('What is alike enough').selectOption({ index: 1 });
    await expect.poll(() => example.locator('li').count()).toBeLessThan(5);
    await example.getByLabel('A picture').setInputFiles(join(folder, 'page.html'));
    await expect.poll(() => says.textContent()).toMatch(/^the image cannot be decoded/);
    expect(await accessibilityProblems(example)).toEqual([]);
    expect(problems).toEqual([]);
    await example.context().close();
  });
});
