import { Generator } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { ViT } from './backbones/vit/vit.js';
import type { ViTShape } from './backbones/vit/vit-shape.js';
import { EmbeddingModel, type EmbeddingModelOptions } from './embedding-model.js';
import { imageNetInput } from './input-format.js';
import { type NetworkRecord, networkRecord, otherThanRecorded } from './network-record.js';

const shape: ViTShape = {
  patch: 8,
  size: 32,
  width: 12,
  depth: 1,
  heads: 3,
  pool: 'avg',
  activation: 'quick-gelu',
  eps: 1e-5,
};
const modelOf = (changed: Partial<ViTShape> = {}, options: EmbeddingModelOptions = {}, input = {}) => {
  const backbone = new ViT(
    'tiny.tag',
    { ...shape, ...changed },
    { ...imageNetInput, size: 32, ...input },
    { generator: new Generator(1) },
  );
  return new EmbeddingModel(backbone, { embeddingDim: 4, ...options });
};
/** As it comes back from a file. */
const recorded = (model: EmbeddingModel) => JSON.parse(JSON.stringify(networkRecord(model))) as NetworkRecord;

it('says tag, mean, deviation, size, crop, filter, pooling, activation and eps', () => {
  using model = modelOf({}, {}, { interpolation: 'bicubic' });
  expect(recorded(model)).toMatchObject({
    backbone: 'tiny.tag',
    shape: { pool: 'avg', activation: 'quick-gelu', eps: 1e-5 },
    pooling: 'avg',
    view: {
      size: 32,
      resize: 37,
      input: { interpolation: 'bicubic', mean: imageNetInput.mean, std: imageNetInput.std },
    },
  });
});

it('is the same for the same network, and says what is another', () => {
  using model = modelOf();
  const record = recorded(model);
  using same = modelOf();
  expect(otherThanRecorded(record, same)).toBe(null);
  for (const [other, words] of [
    [modelOf({ pool: 'token' }), /^tiny\.tag was made as .*"pool":"avg".*, not .*"pool":"token"/],
    [modelOf({ activation: 'gelu' }), /"quick-gelu".*, not .*"gelu"/],
    [modelOf({ antialias: false }), /not .*"antialias":false/],
    [modelOf({ eps: 1e-6 }), /"eps":0\.00001.*, not .*"eps":0\.000001/],
    [modelOf({}, { pooling: 'max' }), /^its pooling was avg, not max$/],
    [modelOf({}, { reading: { size: 24 } }), /^it was given images as \{"size":32,.*, not \{"size":24/],
    [modelOf({}, {}, { interpolation: 'bicubic' }), /"bilinear".*, not .*"bicubic"/],
    [modelOf({}, {}, { mean: [0.5, 0.5, 0.5] }), /0\.485.*, not .*\[0\.5,0\.5,0\.5\]/],
  ] as const) {
    expect(otherThanRecorded(record, other)).toMatch(words);
    other.dispose();
  }
});
