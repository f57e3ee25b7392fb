import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { createBackbone } from '../models/create-model.js';
import { backboneOfConfig } from '../models/weights/hub-config.js';
import { loadWeights } from '../models/weights/weights.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  GoldenFormatError,
  readCases,
  readGoldenTensor,
  readNumber,
  readNumbers,
  readObject,
  readText,
  type SlowGoldenCheck,
} from './check.js';
import { hashUniform } from './deterministic-weights.js';
import { knownNetwork } from './known-network.js';
import { seenOf } from './preprocessing.js';
import { tinyOfTimm } from './tiny-backbones.js';

/** How far a feature may be off, as a share of its length. */
export const TOLERANCE = { float64: 1e-10, float32: 1e-5 } as const;

/** Images (B, 3, H, W) that any implementation can make for itself. */
export function goldenImages(
  batch: number,
  [height, width]: readonly [number, number],
  salt: number,
): Float64Array {
  return hashUniform(batch * 3 * height * width, salt).map((value) => 1.5 * value);
}

/** What a network makes of images before its embedding layer, (B, F): pooled, and not of length 1. */
export function pooledFeatures(backbone: Backbone, images: Tensor): Tensor {
  backbone.requireImages(images.shape);
  const features = backbone.features(images);
  return features.shape.length === 4 ? features.mean([2, 3]) : features;
}

/** backbones-timm.json: features of small members of timm's families, of weights in files beside it. */
export const checkTimmBackbones: GoldenCheck = (cases, on = FLOAT64, folder = '.') => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    const family = readText(item.family, `family of case ${i}`);
    const native = readNumbers(item.nativeSize, `nativeSize of case ${i}`);
    const kwargs = readObject(item.kwargs, `kwargs of case ${i}`);
    const backbone = tinyOfTimm(readText(item.timm, `timm of case ${i}`), kwargs, native);
    if (backbone === null) {
      comparison.notYet(family);
      continue;
    }
    comparison.begin();
    using _ = backbone;
    const parameters = backbone.parameters().reduce((sum, each) => sum + each.numel(), 0);
    comparison.same(`${family} parameters`, [parameters], [readNumber(item.parameters, 'parameters')]);
    loadWeights(
      backbone.to(on),
      join(folder, 'backbones-timm', readText(item.weights, `weights of case ${i}`)),
    );
    compareFeatures(comparison, family, backbone, item, on);
  }
  return comparison.result;
};

/** The features of a case at each of its sizes. */
export function compareFeatures(
  comparison: Comparison,
  name: string,
  backbone: Backbone,
  item: Record<string, unknown>,
  on: Arithmetic,
  wanted: (output: Record<string, unknown>) => unknown = (output) => output.features,
): void {
  const batch = readNumber(item.batch, `${name}'s batch`);
  const salt = readNumber(item.salt, `${name}'s salt`);
  backbone.eval();
  for (const output of readCases(item.outputs)) {
    const [height, width] = readNumbers(output.size, `${name}'s size`);
    if (height === undefined || width === undefined)
      throw new GoldenFormatError(`${name}: a size of two numbers`);
    const want = readGoldenTensor(wanted(output), `${name}'s features`);
    scope(() =>
      noGrad(() => {
        const pixels = goldenImages(batch, [height, width], salt);
        const images = tensor(pixels, { shape: [batch, 3, height, width], ...on });
        const got = pooledFeatures(backbone, images).toNumbers();
        comparison.rows(`${name} ${height}×${width}`, got, want);
      }),
    );
  }
}

/** backbones-timm-full.json: the names and shapes of all tensors of timm's full-size networks. No number is computed. */
export const checkFullBackbones: GoldenCheck = (cases) => {
  const comparison = new Comparison(0);
  for (const [i, item] of readCases(cases).entries()) {
    const timm = knownNetwork(comparison, item, 'timm', i);
    if (timm === null) continue;
    using backbone = createBackbone(timm, { device: 'meta' });
    const { 'head.weight': _, ...want } = readObject(item.tensors, `tensors of ${timm}`);
    const got = Object.fromEntries(Array.from(backbone.stateDict(), ([key, { shape }]) => [key, shape]));
    const different = [...new Set([...Object.keys(want), ...Object.keys(got)])].filter(
      (key) => !key.endsWith('num_batches_tracked') && String(want[key]) !== String(got[key]),
    );
    comparison.same(
      `${timm}: tensors (${different.slice(0, 3).join(', ')})`,
      different.map(() => 1),
      [],
    );
    const data = readObject(item.dataConfig, `dataConfig of ${timm}`);
    const { size, mean, std, interpolation = 'bilinear', cropShare = 0.875 } = backbone.input;
    comparison.close(
      `${timm}: input`,
      [size, cropShare, ...mean, ...std],
      [
        readNumbers(data.inputSize, 'inputSize')[1] as number,
        readNumber(data.cropPct, 'cropPct'),
        ...readNumbers(data.mean, 'mean'),
        ...readNumbers(data.std, 'std'),
      ],
    );
    comparison.same(`${timm}: interpolation`, [interpolation === data.interpolation ? 0 : 1], [0]);
  }
  return comparison.result;
};

/** backbones-hf.json: features of small networks in Hugging Face's folders and names. */
export const checkHubBackbones: SlowGoldenCheck = async (cases, on = FLOAT64, folder = '.') => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  const json = (...path: string[]): unknown => JSON.parse(readFileSync(join(folder, ...path), 'utf8'));
  for (const [i, item] of readCases(cases).entries()) {
    const family = readText(item.family, `family of case ${i}`);
    const place = readText(item.folder, `folder of case ${i}`);
    let backbone: Backbone;
    try {
      backbone = backboneOfConfig(json(place, 'config.json'), json(place, 'preprocessor_config.json'));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      comparison.notYet(`${family}: ${error.message}`);
      continue;
    }
    comparison.begin();
    using _ = backbone;
    loadWeights(backbone.to(on), join(folder, place, 'model.safetensors'));
    // ViT's pooler is for classification: its class token is the feature.
    compareFeatures(comparison, family, backbone, item, on, (output) =>
      family === 'vit' ? output.classToken : output.features,
    );
    await comparePixels(comparison, family, backbone, item);
  }
  return comparison.result;
};

/** The picture of 150×120 as the folder's own preprocessor makes it: row 40, every eighth column, by channel. */
async function comparePixels(
  comparison: Comparison,
  family: string,
  { input }: Backbone,
  item: Record<string, unknown>,
): Promise<void> {
  if (item.preprocessing === undefined) return;
  const { row40, shape } = readObject(item.preprocessing, `${family}'s preprocessing`);
  const want = readNumbers(row40, `${family}'s row 40`);
  const { bytes, size } = await seenOf(input, [150, 120], 16);
  comparison.same(`${family}: size of what is seen`, [size], readNumbers(shape, 'shape').slice(3));
  const columns = Math.ceil(size / 8);
  const apart = want.filter((value, i) => {
    const channel = Math.floor(i / columns);
    const byte = bytes[(40 * size + 8 * (i % columns)) * 3 + channel] as number;
    const wanted = 255 * (value * (input.std[channel] as number) + (input.mean[channel] as number));
    return Math.abs(byte - wanted) > 1.01;
  });
  comparison.same(`${family}: what is seen of a picture`, apart, []);
}
