import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  Generator,
  liveTensors,
  noGrad,
  randn,
  scope,
  type Tensor,
  writeSafetensors,
} from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { smallBackbones } from '../../testing/small-backbones.js';
import { createBackbone, type ModelName } from '../create-model.js';
import { loadWeights } from '../weights/weights.js';
import type { Backbone, BackbonePart } from './backbone.js';
import { backbones } from './backbones.js';

const families = Object.entries(smallBackbones);
const sums = (network: Backbone) => network.parameters().map((parameter) => parameter.sum().item());

it.each(families)('%s frees what a forward pass makes, in training and outside', (_, build) => {
  using network = build(new Generator(1));
  using images = randn([2, 3, 64, 64], { generator: new Generator(2) });
  const before = liveTensors();
  for (const training of [true, false]) {
    network.train(training);
    for (const run of [() => network.features(images), () => noGrad(() => network.features(images))]) {
      using features = run();
      expect(features.shape.slice(0, 2)).toEqual([2, network.featureSize]);
      expect(liveTensors()).toBe(before + 1);
    }
  }
});

it.each(families)('%s: each parameter takes a gradient and lies at one depth', (_, build) => {
  using network = build(new Generator(1));
  scope(() => {
    network
      .features(randn([2, 3, 64, 64], { generator: new Generator(2) }))
      .square()
      .sum()
      .backward();
    for (const [name, parameter] of network.namedParameters()) {
      expect(parameter.grad?.isfinite().all().item(), name).toBe(1);
      expect(parameter.grad?.abs().sum().item(), name).toBeGreaterThan(0);
    }
  });
  const groups = network.parametersByDepth().flat();
  expect(new Set(groups)).toEqual(new Set<Tensor>(network.parameters()));
  expect(groups).toHaveLength(network.parameters().length);
});

it.each(families)(
  '%s: a file with a tensor too many, too few or of another shape leaves it as it was',
  (_, build) => {
    using source = build(new Generator(1));
    using target = build(new Generator(2));
    const file = join(temporaryFolder(), 'weights.safetensors');
    const before = sums(target);
    const state = source.stateDict();
    const [first = ''] = [...state.keys()].filter((name) => name.endsWith('weight'));
    const wrong: [change: (weights: Map<string, Tensor>) => void, message: RegExp][] = [
      [(weights) => weights.delete(first), /missing 1 /],
      [(weights) => weights.set('blocks.9.extra', state.get(first) as Tensor), /unexpected 1 /],
      [
        (weights) => weights.set(first, (state.get(first) as Tensor).flatten().contiguous()),
        /wrong shape 1 /,
      ],
    ];
    for (const [change, message] of wrong) {
      scope(() => {
        const weights = new Map(state);
        change(weights);
        writeSafetensors(file, weights);
        expect(() => loadWeights(target, file)).toThrow(message);
      });
      expect(sums(target)).toEqual(before);
    }
    writeSafetensors(file, state);
    loadWeights(target, file);
    expect(sums(target)).toEqual(sums(source));
  },
);

it.each(families)('%s: built without drawing, its weights are those of the file', (_, build) => {
  using source = build(new Generator(1));
  using target = build(new Generator(2), true);
  const file = join(temporaryFolder(), 'weights.safetensors');
  writeSafetensors(file, source.stateDict());
  loadWeights(target, file);
  expect(sums(target)).toEqual(sums(source));
});

it('builds every published network, by names and shapes alone', () => {
  const seen = new Set<string>();
  for (const { published = [] } of backbones as readonly BackbonePart[]) {
    for (const { name, shape, input } of published) {
      const key = JSON.stringify(shape);
      if (seen.has(key)) continue;
      seen.add(key);
      using network = createBackbone(name as ModelName, { device: 'meta' });
      expect(network.name).toBe(name);
      expect(network.takesSide(input.size), name).toBe(true);
      expect(
        network.parameters().every(({ device }) => device === 'meta'),
        name,
      ).toBe(true);
    }
  }
  expect(seen.size).toBeGreaterThan(50);
}, 120_000);
