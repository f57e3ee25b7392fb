// Images as numbers to embeddings, a batch at a time, with a network that is opened for good: seconds of a batch. `--engine int8` is
// onnxruntime-node with the graph of 8 bits that conquer exports.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportOnnx } from '../../packages/conquer/dist/export/export-onnx.js';
import { createBackbone } from '../../packages/conquer/dist/models/create-model.js';
import { FrozenNetwork } from '../../packages/conquer/dist/models/tunings/frozen-network.js';
import { TrainedModel } from '../../packages/conquer/dist/retrieve/trained-model.js';
import { noGrad, readSafetensors, tensor } from '../../packages/torch/dist/index.js';
import { median } from '../sides.mjs';
import { serve, sideArguments } from './side.mjs';

const {
  arch,
  weights,
  numbers,
  batch,
  size,
  turns,
  engine = 'conquer',
  precision = 'float32',
  photos,
} = sideArguments();
const shape = [Number(batch), 3, Number(size), Number(size)];
const values = new Float32Array(readFileSync(numbers).buffer).subarray(
  0,
  shape.reduce((a, b) => a * b),
);
const network = new FrozenNetwork(createBackbone(arch));
network.backbone.loadPretrained(readSafetensors(weights).tensors);
network.backbone.precision = precision;
network.eval();
const model = new TrainedModel(network, { id: '', source: arch, checkpoint: null }, 'cpu');

/** What both sides have to agree in: of each row the weighted sums of what is above and below zero. */
function check(rows) {
  const dim = rows.length / shape[0];
  return Array.from({ length: shape[0] }, (_, row) => {
    const sums = [0, 0];
    for (let i = 0; i < dim; i++) {
      const value = rows[row * dim + i];
      sums[value < 0 ? 1 : 0] += Math.abs(value) * (1 + (i % 7));
    }
    return sums;
  });
}

async function ours() {
  const images = tensor(values).reshape(shape);
  return async () => {
    const rows = noGrad(() => network.embed(images));
    const numbers = rows.toTypedArray();
    rows.dispose();
    return numbers;
  };
}

async function int8() {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const names = readdirSync(photos).filter((name) => name.endsWith('.jpg'));
  const calibration = names.slice(0, 8).map((name) => join(photos, name));
  const folder = mkdtempSync(join(tmpdir(), 'conquer-int8-'));
  await exportOnnx(model, folder, { photos: calibration, int8: true });
  const session = await InferenceSession.create(join(folder, 'onnx/model_quantized.onnx'), {
    intraOpNumThreads: 2,
  });
  rmSync(folder, { recursive: true });
  const input = new Tensor('float32', values, shape);
  return async () => (await session.run({ pixel_values: input })).logits.data;
}

const embed = await (engine === 'int8' ? int8() : ours());
await embed();
await serve(async () => {
  const seconds = [];
  let rows;
  for (let turn = 0; turn < Number(turns); turn++) {
    const start = performance.now();
    rows = await embed();
    seconds.push((performance.now() - start) / 1000);
  }
  return { seconds: median(seconds), check: check(rows) };
});
