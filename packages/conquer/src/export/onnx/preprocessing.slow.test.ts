import type { Preprocessing } from '@conquer-dml/run';

import { expect, it } from 'vitest';
import { plainBatches } from '../../data/plain-batches.js';
import { exactly } from '../exact-rows.js';
import { drawnPictures } from '../photo-pixels.js';
import { RunningGraph } from '../runtime.js';
import { Graph } from './graph.js';
import { onnxFile } from './onnx-file.js';
import { preprocessingInto } from './preprocessing.js';

// What the network sees, made in the graph of whole pictures, against what is made of a JPEG of the same pixels.

const input = { channels: 'RGB', scale: 1, mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] } as const;
const bilinear = { ...input, interpolation: 'bilinear' } as const;
const bicubic = { ...input, interpolation: 'bicubic' } as const;

it.each<[string, Preprocessing]>([
  ['the centre, cut out and reduced', { size: 64, resize: 73, reduction: null, input: bilinear }],
  ['reduced to its short side before', { size: 48, resize: 60, reduction: { size: 60 }, input: bilinear }],
  [
    'reduced to a short side that is longer',
    { size: 48, resize: 400, reduction: { size: 400 }, input: bilinear },
  ],
  ['icons', { size: 48, resize: 60, reduction: { size: 60, square: true }, input: bilinear }],
  ['bicubic', { size: 64, resize: 73, reduction: null, input: bicubic }],
  ['bicubic, enlarged', { size: 200, resize: 225, reduction: null, input: bicubic }],
  ['bicubic, half pixels out', { size: 64, resize: 71, centre: 'down', reduction: null, input: bicubic }],
  ['bicubic, reduced', { size: 64, resize: 73, reduction: { size: 73, filter: 'bicubic' }, input: bicubic }],
  ['squashed', { size: 64, resize: 64, squash: true, reduction: null, input: bicubic }],
  [
    'BGR of 0 to 255',
    {
      size: 64,
      resize: 64,
      reduction: null,
      input: { ...bilinear, channels: 'BGR', scale: 255, std: [1, 1, 1] },
    },
  ],
])('%s', async (_, view) => {
  const graph = new Graph();
  graph.inputs.push({ name: 'image', type: 'uint8', shape: ['batch', 'height', 'width', 3] });
  const seen = preprocessingInto(graph, 'image', view);
  graph.outputs.push({ name: seen, type: 'float32', shape: ['batch', 3, view.size, view.size] });
  const file = Buffer.concat(onnxFile(graph, { producer: 'test', version: '0', metadata: {} }));
  const running = (await RunningGraph.open(file))!;
  for (const picture of drawnPictures()) {
    const { width, height, data } = picture;
    const twice = Buffer.concat([data, data]);
    const rows = await running.rows(new Uint8Array(twice), [2, height, width, 3]);
    const half = rows.length / 2;
    expect(rows.subarray(half).every((value, i) => value === rows[i])).toBe(true);
    for await (const { images } of plainBatches(await exactly(picture, view), view)) {
      const wanted = images.toNumbers();
      // In levels of 255: one, where a filter's weights are rounded to integers elsewhere.
      const level = view.input.scale / 255 / Math.min(...view.input.std);
      const apart = wanted.map((value, i) => Math.abs(value - rows[i]!) / level);
      expect(apart.reduce((a, b) => Math.max(a, b))).toBeLessThan(1.01);
    }
  }
  await running.close();
});
