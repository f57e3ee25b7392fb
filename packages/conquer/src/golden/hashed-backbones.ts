import { type Tensor, tensor } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { backboneOfConfig } from '../models/weights/hub-config.js';
import { compareFeatures, TOLERANCE } from './backbones.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readNumber,
  readNumbers,
  readObject,
  readText,
} from './check.js';
import { deterministicTensor } from './deterministic-weights.js';

/** Nothing of the pixels is compared. */
const PREPROCESSOR = { image_mean: [0, 0, 0], image_std: [1, 1, 1], size: { shortest_edge: 64 } };

/**
 * backbones-hub-hashed.json: features of small networks of transformers', whose weights are made of a formula, by the names of
 * its files.
 */
export const checkHashedBackbones: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    using backbone: Backbone = backboneOfConfig(item.config, PREPROCESSOR);
    const family = readText(item.family, `family of case ${i}`);
    const salt = readNumber(item.salt, `salt of case ${i}`);
    const shapes = Object.entries(readObject(item.tensors, `tensors of case ${i}`));
    const weights = new Map(
      shapes.map(([name, given], k): [string, Tensor] => {
        const shape = readNumbers(given, name);
        return [name, tensor(deterministicTensor(name, shape, k + salt), { shape, ...on })];
      }),
    );
    backbone.to(on).loadPretrained(weights);
    for (const value of weights.values()) value.dispose();
    compareFeatures(comparison, family, backbone, { ...item, batch: 1, salt: item.imageSalt }, on);
  }
  return comparison.result;
};
