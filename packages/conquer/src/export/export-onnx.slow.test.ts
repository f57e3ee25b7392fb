import { readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { describeWithPyPI, pypiPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { noGrad, type Tensor } from '@conquer-dml/torch';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { openModel } from '../retrieve/open-model.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { exactRows } from './exact-rows.js';
import { exportOnnx } from './export-onnx.js';
import { drawnPictures, photoPixels } from './photo-pixels.js';
import { RunningGraph } from './runtime.js';

async function photosIn(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for (const [i, { width, height, data }] of drawnPictures().entries()) {
    const path = join(folder, `photo${i}.jpg`);
    // As a camera lays a picture down: what is right side up is written in its EXIF orientation.
    await sharp(data, { raw: { width, height, channels: 3 } })
      .withMetadata({ orientation: i === 1 ? 6 : 1 })
      .jpeg({ quality: 92 })
      .toFile(path);
    paths.push(path);
  }
  return paths;
}

it("writes a run's model as one file that onnxruntime runs, and what goes with it", async () => {
  const folder = temporaryFolder();
  const path = drawnRun(join(folder, 'secret-run'), drawnExperiment());
  using model = await openModel(path);
  const run = RunFolder.open(path);
  run.writeCalibration({
    embedder: model.id,
    source: `validation classes of ${path}`,
    ...{ classes: 2, images: 4, samePairs: 2, differentPairs: 4, refused: [] },
    thresholds: [{ rate: 0.01, similarity: 0.75, interval: [0, 0.02], found: 0.9 }],
    probability: { similarities: [0, 1], probabilities: [0, 1] },
  });
  const out = join(folder, 'out');
  const { files, graphs } = await exportOnnx(model, out, {
    photos: await photosIn(folder),
    labels: ['jay', 'wren'],
  });
  expect(files).toEqual([
    'image.onnx',
    'onnx/model.onnx',
    'config.json',
    'preprocessor_config.json',
    'README.md',
  ]);
  const { cosPixels, cosFile, largest } = graphs[0]!.difference!;
  expect(cosPixels).toBeGreaterThan(0.99999);
  expect(cosFile).toBeGreaterThan(0.9999);
  expect(largest).toBeLessThan(1e-3);
  for (const file of files) {
    const bytes = readFileSync(join(out, file), 'latin1');
    for (const text of [folder, basename(path), homedir(), process.cwd(), '.ts:', 'node_modules'])
      expect(bytes.includes(text), `${file} has ${text}`).toBe(false);
  }
  expect(readFileSync(join(out, 'image.onnx'), 'latin1')).toContain('"similarity":0.75');
  expect(readFileSync(join(out, 'image.onnx'), 'latin1')).toContain('["jay","wren"]');
  expect(readFileSync(join(out, 'README.md'), 'utf8')).toContain('| 0.01 | 0.7500 | 0.900 |');
});

it('gives rows of zeros as zeros', async () => {
  const folder = temporaryFolder();
  using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  for (const [name, value] of model.model.stateDict())
    if (name.startsWith('embedding.')) noGrad(() => value.zero_());
  await exportOnnx(model, folder);
  const running = (await RunningGraph.open(join(folder, 'image.onnx')))!;
  const rows = await running.rows(new Uint8Array(2 * 30 * 40 * 3).fill(7), [2, 30, 40, 3]);
  expect([...rows]).toEqual(new Array(32).fill(0));
  await running.close();
});

it('halves, and bytes that are calibrated on photos, stay near; what a search loses is measured', async () => {
  const folder = temporaryFolder();
  using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  const photos = await photosIn(folder);
  const labelled = { paths: [...photos, ...photos], labels: [0, 1, 2, 3, 0, 1, 2, 3] };
  const { graphs } = await exportOnnx(model, folder, { photos, half: true, int8: true, labelled });
  const of = (name: string) => graphs.find(({ file }) => file === name)!;
  expect(of('image_fp16.onnx').difference!.cosPixels).toBeGreaterThan(0.9999);
  expect(of('image_int8.onnx').difference!.cosPixels).toBeGreaterThan(0.98);
  expect(of('image_int8.onnx').difference!.cosPixels).toBeLessThan(0.9999999);
  // Each photo is there twice, so that it finds itself.
  const loss = { images: 8, recallAt1: { model: 1, graph: 1 }, mapAtR: { model: 1, graph: 1 } };
  for (const name of ['image_fp16.onnx', 'image_int8.onnx']) expect(of(name).loss).toEqual(loss);
  expect(of('image.onnx').loss).toBe(null);
  for (const name of ['image', 'onnx/model'])
    expect(of(`${name}_fp16.onnx`).bytes).toBeLessThan(of(`${name}.onnx`).bytes);
  await expect(exportOnnx(model, folder, { photos: photos.slice(2), int8: true })).rejects.toThrow(
    'expected three or more of them (photos), got 2',
  );
});

it('a model that is used with flips and a prefix is written so', async () => {
  const folder = temporaryFolder();
  using plain = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  const model = plain.atTestTime({ flips: true, prefix: 8 });
  const { graphs } = await exportOnnx(model, folder);
  expect(graphs.map(({ file }) => file)).toEqual(['image.onnx', 'onnx/model.onnx']);
  expect(graphs[0]!.difference!.cosPixels).toBeGreaterThan(0.99999);
});

it('says in one line that a folder cannot be made', async () => {
  const folder = temporaryFolder();
  using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  writeFileSync(join(folder, 'file'), '');
  await expect(exportOnnx(model, join(folder, 'file/out'))).rejects.toThrow(/cannot be made: ENOTDIR/);
});

describeWithPyPI('onnxruntime 1.20 in Python', ['onnxruntime', 'onnx', 'numpy'], () => {
  it('gives the same rows, and the file is sound', async () => {
    const folder = temporaryFolder();
    using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
    await exportOnnx(model, folder);
    const [photo] = await photosIn(folder);
    const { width, height, data } = await photoPixels(photo!);
    using wanted = await exactRows(model, { width, height, data });
    const { rows, opset, ir } = runPython<{ rows: Tensor; opset: number; ir: number }>(
      `
      import numpy, onnx, onnxruntime
      model = onnx.load(input['file'])
      onnx.checker.check_model(model, full_check=True)
      pixels = numpy.array(input['pixels'], dtype='uint8').reshape(input['shape'])
      session = onnxruntime.InferenceSession(input['file'], providers=['CPUExecutionProvider'])
      rows = session.run(None, {'image': pixels.repeat(3, axis=0)})[0]
      output = {'rows': rows, 'opset': model.opset_import[0].version, 'ir': model.ir_version}
      `,
      { file: join(folder, 'image.onnx'), pixels: data, shape: [1, height, width, 3] },
      pypiPython,
    );
    expect([opset, ir]).toEqual([20, 9]);
    expect(rows.shape).toEqual([3, 16]);
    const numbers = rows.toNumbers();
    for (const [i, value] of wanted.toNumbers().entries()) {
      expect(numbers[i]).toBeCloseTo(value, 5);
      expect(numbers[32 + i]).toBeCloseTo(value, 5);
    }
  });
});
