// A photograph's file to its embedding in Chromium, by @conquer-dml/browser and by transformers.js, both with the same graph
// (image.onnx of the built-in network), on the processor in one thread, by turns; and a search in an index of 8 bits beside the
// exact one: how much of the 10 nearest it finds, and how long it takes.
// node bench/browser.mjs [--photos 20] [--turns 5] [--rows 20000]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { aten } from '@conquer-dml/torch';
import { chromium } from 'playwright-core';
import { exportIndex, ImageIndex } from '../packages/conquer/dist/index.js';
import { rowsFile } from './clustered-rows.mjs';
import { commandLine } from './command-line.mjs';
import { photoFolder } from './photos.mjs';
import { median, ROOT } from './sides.mjs';

const DIM = 384;
const { values } = commandLine({
  photos: { type: 'number', default: 20 },
  turns: { type: 'number', default: 5 },
  rows: { type: 'number', default: 20_000 },
  port: { type: 'number', default: 4283 },
});
const [photos, turns, count] = [values.photos, values.turns, values.rows];
const site = mkdtempSync(join(tmpdir(), 'conquer-browser-'));

symlinkSync(join(ROOT, 'node_modules'), join(site, 'node_modules'));
symlinkSync(await photoFolder(photos), join(site, 'photos'));
const conquer = join(ROOT, 'packages/conquer/bin/conquer.js');
execFileSync(process.execPath, [
  conquer,
  'export',
  'tf_efficientnet_lite0.in1k',
  '--onnx',
  join(site, 'exported'),
]);

const file = join(site, 'index.safetensors');
const rows = aten.from_file(rowsFile(site, count, DIM, 1), false, count * DIM, 'float32').view([count, DIM]);
const index = ImageIndex.of(
  rows,
  Array.from({ length: count }, (_, i) => ({ id: `${i}` })),
);
const { bytes, difference } = exportIndex(index, file);
console.log(
  `${count} rows of ${DIM}: ${(bytes / 1e6).toFixed(1)} MB; of the ${difference.k} nearest of ${difference.queries} rows ${(100 * difference.recall).toFixed(2)} % are found, similarities differ by at most ${difference.largest.toExponential(1)}`,
);

const web = '/node_modules/@huggingface/transformers/node_modules';
const imports = {
  'onnxruntime-common': `${web}/onnxruntime-common/dist/esm/index.js`,
  'onnxruntime-web/webgpu': `${web}/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs`,
};
writeFileSync(
  join(site, 'index.html'),
  `<!doctype html><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>`,
);

/** In the page. Of each side a function from a file to a row. */
const sides = `(async () => {
  const ort = await import('/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs');
  const { openIndex, openModel } = await import('/node_modules/@conquer-dml/browser/dist/index.js');
  const ours = await openModel('/exported/image.onnx', { runtime: ort });
  const { AutoModel, env, RawImage, Tensor } = await import('/node_modules/@huggingface/transformers/dist/transformers.web.js');
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/', useBrowserCache: false, useWasmCache: false });
  env.backends.onnx.wasm.wasmPaths = '${web}/onnxruntime-web/dist/';
  env.backends.onnx.wasm.numThreads = 1;
  const theirs = await AutoModel.from_pretrained('exported', { dtype: 'fp32', device: 'wasm', subfolder: '', model_file_name: 'image' });
  window.index = await openIndex('/index.safetensors');
  window.sides = {
    conquer: (file) => ours.embed(file),
    'transformers.js': async (file) => {
      const { data, width, height } = (await RawImage.fromBlob(file)).rgb();
      const { embedding } = await theirs({ image: new Tensor('uint8', data, [1, height, width, 3]) });
      return embedding.data;
    },
  };
  window.files = await Promise.all(Array.from({ length: ${photos} }, async (_, i) => (await fetch('/photos/' + i + '.jpg')).blob()));
})()`;

/** All photographs by one side: milliseconds an image, and the rows. */
const turn = (side) => `(async () => {
  const start = performance.now();
  const rows = [];
  for (const file of files) rows.push(await sides['${side}'](file));
  return { ms: (performance.now() - start) / files.length, rows: rows.map((row) => Array.from(row)) };
})()`;

const server = spawn(
  'python3',
  ['-m', 'http.server', values.port, '--bind', '127.0.0.1', '--directory', site],
  {
    stdio: 'ignore',
  },
);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  chromiumSandbox: process.getuid?.() !== 0,
});
try {
  const page = await browser.newPage();
  for (let attempt = 0; attempt < 50; attempt++) {
    const there = await page.goto(`http://127.0.0.1:${values.port}/`).catch(() => null);
    if (there) break;
    await pause(100);
  }
  await page.evaluate(sides);
  const names = ['conquer', 'transformers.js'];
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const rowsOf = {};
  for (let at = -1; at < turns; at++) {
    for (const name of names) {
      const { ms, rows: made } = await page.evaluate(turn(name));
      rowsOf[name] = made;
      // The first one warms up.
      if (at >= 0) times[name].push(ms);
    }
  }
  const [own, other] = names.map((name) => rowsOf[name]);
  const least = Math.min(...own.map((row, i) => row.reduce((sum, value, j) => sum + value * other[i][j], 0)));
  for (const name of names) console.log(`${name}: ${median(times[name]).toFixed(1)} ms an image`);
  console.log(
    `ratio ${(median(times.conquer) / median(times['transformers.js'])).toFixed(3)}, least cosine of the two ${least.toFixed(7)}`,
  );
  const searched = await page.evaluate(`(() => {
    const times = [];
    for (let i = 0; i < 20; i++) {
      const row = Float32Array.from({ length: ${DIM} }, () => Math.random() - 0.5);
      const start = performance.now();
      index.search(row, 10);
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[10];
  })()`);
  console.log(`a search among ${count} rows: ${searched.toFixed(1)} ms`);
} finally {
  await browser.close();
  server.kill();
  index.dispose();
  rows.dispose();
  rmSync(site, { recursive: true });
}
