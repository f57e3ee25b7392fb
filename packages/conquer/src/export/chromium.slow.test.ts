import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBrowser } from '@conquer-dml/testing/browser';
import { serveFolders } from '@conquer-dml/testing/static-server';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../retrieve/open-model.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { cosine } from './compare-graph.js';
import { exactRows } from './exact-rows.js';
import { exportOnnx } from './export-onnx.js';
import { drawnPictures } from './photo-pixels.js';

// The exported graph in a browser, by onnxruntime-web: on the processor (wasm), and by WebGPU, which software stands in for.

const hasChromium = existsSync('/usr/bin/chromium');
const runtime = dirname(fileURLToPath(import.meta.resolve('onnxruntime-web')));
let folder: string;
let server: Awaited<ReturnType<typeof serveFolders>>;
let browser: Browser;
let wanted: number[][];
const pictures = drawnPictures();

beforeAll(async () => {
  if (!hasChromium) return;
  folder = temporaryFolder();
  using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  const photos = pictures.map((_, i) => join(folder, `${i}.png`));
  for (const [i, { width, height, data }] of pictures.entries())
    await sharp(data, { raw: { width, height, channels: 3 } }).toFile(photos[i]!);
  await exportOnnx(model, folder, { photos, half: true, int8: true });
  wanted = [];
  for (const picture of pictures) {
    using rows = await exactRows(model, picture);
    wanted.push([...rows.toNumbers()]);
  }
  server = await serveFolders({ '/ort/': runtime, '/': folder });
  browser = await startBrowser(['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  server?.close();
});

describe.skipIf(!hasChromium)('in Chromium', { timeout: 300_000 }, () => {
  it.each([
    ['wasm', 'image.onnx', 0.99999, pictures],
    ['wasm', 'image_fp16.onnx', 0.9999, pictures],
    ['wasm', 'image_int8.onnx', 0.98, pictures],
    // Software takes seconds for one, and more for a large one.
    ['webgpu', 'image.onnx', 0.99999, [pictures[1]!, pictures[3]!]],
  ])('by %s, %s gives the same rows', async (provider, graph, least, some) => {
    const page = await browser.newPage();
    await page.goto(server.url);
    const given = some.map(({ width, height, data }) => ({
      ...{ width, height },
      data: Buffer.from(data).toString('base64'),
    }));
    const rows = (await page.evaluate(`(async () => {
      const ort = await import('/ort/ort.${provider}.bundle.min.mjs');
      ort.env.wasm.wasmPaths = '/ort/';
      ort.env.wasm.numThreads = 1;
      const session = await ort.InferenceSession.create('/${graph}', { executionProviders: ['${provider}'] });
      const rows = [];
      for (const { width, height, data } of ${JSON.stringify(given)}) {
        const pixels = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const { embedding } = await session.run({ image: new ort.Tensor('uint8', pixels, [1, height, width, 3]) });
        rows.push(Array.from(await embedding.getData()));
      }
      return rows;
    })()`)) as number[][];
    await page.close();
    expect(rows).toHaveLength(some.length);
    for (const [i, row] of rows.entries())
      expect(cosine(row, wanted[pictures.indexOf(some[i]!)]!)).toBeGreaterThan(least);
  });
});
