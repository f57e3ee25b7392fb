import { UserError } from '@conquer-dml/run';
import { Generator, nn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { SmallResNet } from './backbones/small-resnet.js';
import { type EmbeddingInitOptions, initEmbedding } from './embedding-init.js';
import { EmbeddingModel } from './embedding-model.js';
import { LearnerMasks } from './masks.js';

const [DIMENSIONS, FEATURES] = [240, 400];

/** What is known of the drawn numbers: deviation and largest value of weight and bias. */
function drawn(options: EmbeddingInitOptions) {
  const embedding = new nn.Linear(FEATURES, DIMENSIONS, { generator: new Generator(1) });
  initEmbedding(embedding, { generator: new Generator(2), ...options });
  const summary = (values: Float64Array | readonly number[]) => {
    const list = [...values];
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    const square = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length;
    return { mean, deviation: Math.sqrt(square), largest: Math.max(...list.map(Math.abs)) };
  };
  const [weight, bias] = [embedding.weight, embedding.bias as Tensor].map((t) => [...t.toNumbers()]);
  embedding.weight.dispose();
  embedding.bias?.dispose();
  return { weight: summary(weight as number[]), bias: summary(bias as number[]), values: weight as number[] };
}

describe('initEmbedding', () => {
  const bound = 1 / Math.sqrt(FEATURES);
  const uniform = (b: number) => ({ deviation: b / Math.sqrt(3), largest: b });
  // A learner of four has a quarter of the rows.
  const quarter = DIMENSIONS / 4;
  const cases: [string, EmbeddingInitOptions, { deviation: number; largest?: number }][] = [
    ['default', {}, uniform(bound)],
    ['default, split', { learners: 4 }, uniform(bound)],
    ['Xavier uniform', { kind: 'xavier-uniform' }, uniform(Math.sqrt(6 / (FEATURES + DIMENSIONS)))],
    [
      'Xavier uniform with gain, split',
      { kind: 'xavier-uniform', gain: 3, learners: 4 },
      uniform(3 * Math.sqrt(6 / (FEATURES + quarter))),
    ],
    ['Xavier normal', { kind: 'xavier-normal' }, { deviation: Math.sqrt(2 / (FEATURES + DIMENSIONS)) }],
    [
      'Xavier normal with gain',
      { kind: 'xavier-normal', gain: 0.5 },
      { deviation: 0.5 * Math.sqrt(2 / (FEATURES + DIMENSIONS)) },
    ],
    [
      'Xavier normal, split',
      { kind: 'xavier-normal', learners: 4 },
      { deviation: Math.sqrt(2 / (FEATURES + quarter)) },
    ],
    ['Kaiming fan in', { kind: 'kaiming-fan-in' }, { deviation: Math.sqrt(1 / FEATURES) }],
    ['Kaiming fan out', { kind: 'kaiming-fan-out' }, { deviation: Math.sqrt(1 / DIMENSIONS) }],
    [
      'Kaiming fan out, split',
      { kind: 'kaiming-fan-out', learners: 4 },
      { deviation: Math.sqrt(1 / quarter) },
    ],
    // The deviation of a standard normal cut at 2 is 0.8796.
    ['truncated normal', { kind: 'truncated-normal' }, { deviation: 0.08796, largest: 0.2 }],
  ];
  it.each(cases)('%s', (_, options, want) => {
    const { weight, bias } = drawn(options);
    // 96,000 numbers: a sample's deviation is within 0.2 % of the true one or so.
    expect(weight.deviation / want.deviation).toBeCloseTo(1, 1.7);
    expect(Math.abs(weight.mean) / want.deviation).toBeLessThan(0.02);
    if (want.largest !== undefined) {
      expect(weight.largest).toBeLessThanOrEqual(want.largest * (1 + 1e-6));
      expect(weight.largest).toBeGreaterThan(want.largest * 0.99);
    } else expect(weight.largest).toBeGreaterThan(3.5 * want.deviation);
    if (options.kind === 'truncated-normal') {
      expect(bias.mean).toBeCloseTo(0.1, 6);
      expect(bias.deviation).toBeCloseTo(0, 6);
    } else {
      expect(bias.largest).toBeLessThanOrEqual(bound);
      expect(bias.largest).toBeGreaterThan(0.9 * bound);
    }
  });

  it('draws a learner as a Linear of its own, in the rows of its fixed mask', () => {
    scope(() => {
      const embedding = new nn.Linear(5, 11, { generator: new Generator(1) });
      initEmbedding(embedding, { learners: 8, generator: new Generator(2) });
      const generator = new Generator(2);
      const masks = new LearnerMasks(11, { kind: 'fixed', numLearners: 8 });
      for (const mask of masks.masks) {
        const rows = [...mask.toNumbers()].flatMap((one, row) => (one === 0 ? [] : [row]));
        const own = new nn.Linear(5, rows.length, { generator });
        const [start = 0] = rows;
        const part = embedding.weight.narrow(0, start, rows.length);
        expect([...part.toNumbers()]).toEqual([...own.weight.toNumbers()]);
        const bias = embedding.bias?.narrow(0, start, rows.length);
        expect([...(bias?.toNumbers() ?? [])]).toEqual([...(own.bias?.toNumbers() ?? [])]);
      }
    });
  });

  it('repeats with the seed', () => {
    const draw = (seed: number) =>
      drawn({ kind: 'xavier-normal', generator: new Generator(seed) }).values.slice(0, 9);
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  it('refuses what it would not use', () => {
    expect(() => drawn({ kind: 'kaiming-fan-in', gain: 2 })).toThrow(UserError);
    expect(() => drawn({ gain: 2 })).toThrow(/gain of 2 is for xavier-uniform/);
    expect(() => drawn({ learners: 256 })).toThrow(/240 dimensions cannot be split among 256/);
    expect(() => drawn({ learners: 3 })).toThrow(/split among 3 learners: a power of two/);
  });
});

it('the model initialises its embedding as it is told, and still trains it', () => {
  const generator = new Generator(1);
  const backbone = new SmallResNet({ widths: [4, 8], generator });
  using model = new EmbeddingModel(backbone, {
    embeddingDim: 6,
    generator,
    embeddingInit: { kind: 'truncated-normal' },
  });
  for (const value of model.embedding.bias?.toNumbers() ?? []) expect(value).toBeCloseTo(0.1, 6);
  expect(model.embedding.weight.requiresGrad && model.embedding.weight.isLeaf).toBe(true);
});
