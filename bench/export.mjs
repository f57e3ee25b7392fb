// How far a run's exported graphs are from it: in onnxruntime in Node.js, in Chromium and in Python, in full and half precision and in
// 8 bits; and what a search of its test images loses. Then how long a ViT-S/16 takes to export, of drawn weights.
// node bench/export.mjs runs/emoji [--photos 16]      (Python: .cache/peers, which npm run setup -- --test brings, or PYTHON=…)
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RunFolder } from '@conquer-dml/run';
import { Generator } from '@conquer-dml/torch';
import { chromium } from 'playwright-core';
import { cosine } from '../packages/conquer/dist/export/compare-graph.js';
import { exactRows } from '../packages/conquer/dist/export/exact-rows.js';
import { exportOnnx } from '../packages/conquer/dist/export/export-onnx.js';
import { photoPixels } from '../packages/conquer/dist/export/photo-pixels.js';
import { RunningGraph } from '../packages/conquer/dist/export/runtime.js';
import { createBackbone } from '../packages/conquer/dist/models/create-model.js';
import { EmbeddingModel } from '../packages/conquer/dist/models/embedding-model.js';
import { openModel } from '../packages/conquer/dist/retrieve/open-model.js';
import { TrainedModel } from '../packages/conquer/dist/retrieve/trained-model.js';
import { commandLine } from './command-line.mjs';
import { ROOT } from './sides.mjs';

const GRAPHS = ['image.onnx', 'image_fp16.onnx', 'image_int8.onnx'];
const PORT = 4284;
const { values, positionals } = commandLine({ photos: { type: 'number', default: 16 } }, ['RUN']);
const count = values.photos;
const python = process.env.PYTHON ?? join(ROOT, '.cache/peers/bin/python');
const site = mkdtempSync(join(tmpdir(), 'conquer-export-'));

/** Of each graph its rows of the pictures, in Chromium by wasm. */
async function inChromium(pictures) {
  const server = spawn(
    'python3',
    ['-m', 'http.server', `${PORT}`, '--bind', '127.0.0.1', '--directory', site],
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
      if (await page.goto(`http://127.0.0.1:${PORT}/`).catch(() => null)) break;
      await pause(100);
    }
    return await page.evaluate(`(async () => {
      const ort = await import('/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs');
      const all = [];
      for (const graph of ${JSON.stringify(GRAPHS)}) {
        const session = await ort.InferenceSession.create('/' + graph, { executionProviders: ['wasm'] });
        const rows = [];
        for (const [i, [height, width]] of ${JSON.stringify(pictures)}.entries()) {
          const data = new Uint8Array(await (await fetch('/' + i + '.rgb')).arrayBuffer());
          const { embedding } = await session.run({ image: new ort.Tensor('uint8', data, [1, height, width, 3]) });
          rows.push(Array.from(embedding.data));
        }
        all.push(rows);
      }
      return all;
    })()`);
  } finally {
    await browser.close();
    server.kill();
  }
}

const inPython = (pictures) =>
  JSON.parse(
    execFileSync(
      python,
      [
        '-c',
        `
import json, sys, numpy, onnxruntime
folder, graphs, pictures = sys.argv[1], *map(json.loads, sys.argv[2:])
out = []
for graph in graphs:
    session = onnxruntime.InferenceSession(f'{folder}/{graph}', providers=['CPUExecutionProvider'])
    out.append([session.run(None, {'image': numpy.fromfile(f'{folder}/{i}.rgb', dtype='uint8').reshape(1, *shape, 3)})[0][0].tolist()
                for i, shape in enumerate(pictures)])
print(json.dumps(out))`,
        site,
        JSON.stringify(GRAPHS),
        JSON.stringify(pictures),
      ],
      { encoding: 'utf8', maxBuffer: 1 << 28 },
    ),
  );

const loss = ({ model, graph }) => `${(100 * model).toFixed(2)} → ${(100 * graph).toFixed(2)} %`;

async function differences(run) {
  const model = await openModel(run);
  const { paths, labels } = RunFolder.open(run).testImages().queries;
  const step = Math.max(1, Math.floor(paths.length / count));
  const photos = paths.filter((_, i) => i % step === 0).slice(0, count);
  // Whole classes, as conquer export takes them, and more of them.
  const places = [...paths.keys()].sort((a, b) => labels[a] - labels[b]).slice(0, 2000);
  const labelled = { paths: places.map((at) => paths[at]), labels: places.map((at) => labels[at]) };
  const { graphs } = await exportOnnx(model, site, { photos, half: true, int8: true, labelled });
  const pictures = [];
  const wanted = [];
  const inNode = GRAPHS.map(() => []);
  const running = await Promise.all(GRAPHS.map((graph) => RunningGraph.open(join(site, graph))));
  for (const [i, photo] of photos.entries()) {
    const pixels = await photoPixels(photo);
    writeFileSync(join(site, `${i}.rgb`), pixels.data);
    pictures.push([pixels.height, pixels.width]);
    const rows = await exactRows(model, pixels);
    wanted.push(rows.toNumbers());
    rows.dispose();
    for (const [at, graph] of running.entries())
      inNode[at].push(await graph.rows(pixels.data, [1, pixels.height, pixels.width, 3]));
  }
  const others = { Chromium: await inChromium(pictures), Python: inPython(pictures) };
  const least = (rows) => Math.min(...rows.map((row, i) => cosine(row, wanted[i]))).toFixed(7);
  for (const [at, graph] of GRAPHS.entries()) {
    const exported = graphs.find(({ file }) => file === graph);
    const cosines = Object.entries({ Node: inNode, ...others }).map(
      ([where, rows]) => `${where} ${least(rows[at])}`,
    );
    const { loss: lost } = exported;
    const found = lost ? `; of ${lost.images} R@1 ${loss(lost.recallAt1)}, MAP@R ${loss(lost.mapAtR)}` : '';
    console.log(
      `${graph}: ${(exported.bytes / 1e6).toFixed(2)} MB; least cosine ${cosines.join(', ')}${found}`,
    );
  }
  model.close();
}

async function vit() {
  const generator = new Generator(1);
  const backbone = createBackbone('vit_small_patch16_224.augreg_in21k', { generator });
  const network = new EmbeddingModel(backbone, { embeddingDim: 128, generator }).eval();
  const model = new TrainedModel(network, { id: 'drawn', source: '/drawn', checkpoint: null }, 'cpu');
  const folder = join(site, 'vit');
  mkdirSync(folder);
  const start = performance.now();
  await exportOnnx(model, folder);
  const seconds = (performance.now() - start) / 1000;
  const { size } = statSync(join(folder, 'image.onnx'));
  console.log(
    `ViT-S/16, 224 pixels: both graphs in ${seconds.toFixed(1)} s, image.onnx ${(size / 1e6).toFixed(1)} MB`,
  );
  model.close();
}

try {
  symlinkSync(join(ROOT, 'node_modules'), join(site, 'node_modules'));
  writeFileSync(join(site, 'index.html'), '<!doctype html><link rel="icon" href="data:,">');
  if (positionals[0] !== undefined) await differences(positionals[0]);
  await vit();
} finally {
  rmSync(site, { recursive: true });
}
