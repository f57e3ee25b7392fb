import { nn, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { EmbeddingModel } from '../models/embedding-model.js';

// Weights and images that any implementation can make for itself, so that golden files need not hold them.

/** n numbers in [-1, 1) that depend on the position and on k only: integer arithmetic, the same everywhere. */
export function hashUniform(n: number, k: number): Float64Array {
  const salt = Math.imul(k + 1, 0x85ebca77);
  const values = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let h = Math.imul(i + 1, 0x9e3779b1) ^ salt;
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
    h ^= h >>> 16;
    values[i] = ((h >>> 0) / 2 ** 32) * 2 - 1;
  }
  return values;
}

/** The weights of state-dict tensor number k: scaled by the fan in, or near the neutral value of its kind. */
export function deterministicTensor(name: string, shape: readonly number[], k: number): Float64Array {
  const numel = shape.reduce((product, size) => product * size, 1);
  const u = hashUniform(numel, k);
  if (shape.length >= 2) {
    const fanIn = numel / (shape[0] as number);
    return u.map((value) => value * Math.sqrt(3) * Math.sqrt(2 / fanIn));
  }
  if (name.endsWith('running_var')) return u.map((value) => 1 + 0.2 * value);
  if (name.endsWith('running_mean')) return u.map((value) => 0.1 * value);
  if (name.endsWith('.weight')) return u.map((value) => 1 + 0.1 * value);
  return u.map((value) => 0.1 * value);
}

/** The names that take deterministic weights, in the order that numbers them. */
export function weightNames(model: EmbeddingModel): string[] {
  return [...model.stateDict().keys()].filter(
    (name) => !name.startsWith('masks.') && !name.endsWith('num_batches_tracked'),
  );
}

/** Fills a float64 model. @param embeddingBias (D) */
export function setDeterministicWeights(
  model: EmbeddingModel,
  embeddingBias: readonly number[],
  salt: number,
): void {
  const state = model.stateDict();
  noGrad(() =>
    scope(() => {
      for (const [k, name] of weightNames(model).entries()) {
        const target = state.get(name) as Tensor;
        const values =
          name === 'embedding.bias'
            ? Float64Array.from(embeddingBias)
            : deterministicTensor(name, target.shape, k + salt);
        target.copy_(tensor(values, { shape: target.shape }));
      }
    }),
  );
}

/** Labels 0, 0, 1, 1, 2, 2, ... */
export function pairLabels(batch: number): Int32Array {
  return Int32Array.from({ length: batch }, (_, i) => i >> 1);
}

/** Float64 images (B, 3, S, S): a pattern for each class, and noise that differs from step to step. */
export function deterministicImages(step: number, batch: number, size: number, salt: number): Tensor {
  const numel = 3 * size * size;
  const patterns = Array.from({ length: (batch + 1) >> 1 }, (_, label) =>
    hashUniform(numel, 9000 + salt + label),
  );
  const noise = hashUniform(batch * numel, 5000 + salt + step);
  const labels = pairLabels(batch);
  const pixels = noise.map((value, i) => {
    const pattern = patterns[labels[Math.floor(i / numel)] as number] as Float64Array;
    return 1.5 * (pattern[i % numel] as number) + value;
  });
  return tensor(pixels, { shape: [batch, 3, size, size] });
}

/**
 * Sets every BatchNorm's running statistics to those of one batch, as a pass in training mode with momentum 1
 * does. Leaves the model in training mode.
 */
export function calibrateBatchNorm(model: EmbeddingModel, images: Tensor): void {
  const layers = [...model.namedModules()].flatMap(([, module]) =>
    module instanceof nn.BatchNorm2d ? [module] : [],
  );
  const frozen = layers.map((layer) => layer.frozen);
  noGrad(() =>
    scope(() => {
      for (const layer of layers) {
        layer.frozen = false;
        layer.runningMean.zero_();
        layer.runningVar.zero_();
      }
      model.train();
      model.features(images);
      // From zero, a pass leaves momentum times the batch's statistics.
      for (const [i, layer] of layers.entries()) {
        layer.runningMean.div_(layer.momentum ?? 1);
        layer.runningVar.div_(layer.momentum ?? 1);
        layer.frozen = frozen[i] as boolean;
      }
    }),
  );
}
