import { Generator, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { AlexNet } from '../models/backbones/alexnet.js';
import type { Backbone } from '../models/backbones/backbone.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { ViT } from '../models/backbones/vit/vit.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { imageNetInput } from '../models/input-format.js';
import { smallBackbones } from '../testing/small-backbones.js';
import { ActivationCheckpoints } from './activation-checkpoints.js';
import { type BatchEmbedder, embedWhole } from './batch-embedder.js';
import { GradientCache } from './gradient-cache.js';

type Build = (generator: Generator, dropoutGenerator: Generator) => Backbone;

const dropping: Record<string, Build> = {
  'small-resnet that skips blocks': (generator, dropoutGenerator) =>
    new SmallResNet({ widths: [4, 8], depths: 2, dropPath: 0.5, generator, dropoutGenerator }),
  'vit that skips branches': (generator, dropoutGenerator) =>
    new ViT('vit', { patch: 8, size: 64, width: 12, depth: 3, heads: 3 }, imageNetInput, {
      ...{ dropPath: 0.5, generator, dropoutGenerator },
    }),
};

type Way = (model: EmbeddingModel, dropout: Generator) => BatchEmbedder;
const whole: Way = (model) => ({ embed: (images) => embedWhole(model, images) });
const checkpointed: Way = (model, dropout) => new ActivationCheckpoints(model, dropout);

function outcome(build: Build, way: Way, dtype: 'float32' | 'float64', frozen = false) {
  const dropout = new Generator(4);
  const backbone = build(new Generator(1), dropout);
  using model = new EmbeddingModel(backbone, {
    ...{ embeddingDim: 8, dropout: 0.3, generator: new Generator(2), dropoutGenerator: dropout },
  });
  model.to({ dtype }).train(!frozen);
  return scope(() => {
    const images = randn([4, 3, 64, 64], { generator: new Generator(3) }).to(dtype);
    const { rows, backward } = way(model, dropout).embed(images, images.size(0));
    backward(rows.mul(randn(rows.shape, { generator: new Generator(5) }).to(dtype)).sum());
    const named = ([name, value]: [string, Tensor]): [string, number[]] => [name, [...value.toNumbers()]];
    return {
      gradients: [...model.namedParameters()].flatMap(([name, { grad }]) =>
        grad === null ? [] : [named([name, grad])],
      ),
      state: [...model.stateDict()].map(named),
      drawn: [...dropout.state()],
    };
  });
}

/** Gradients may be sums in another order, where what comes back lies otherwise in memory. */
function expectSame(again: ReturnType<typeof outcome>, kept: ReturnType<typeof outcome>, relative: number) {
  expect(again.state).toEqual(kept.state);
  expect(again.drawn).toEqual(kept.drawn);
  expect(again.gradients.map(([name]) => name)).toEqual(kept.gradients.map(([name]) => name));
  const largest = (values: number[]) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // Some are zero but for rounding, of which nothing is the same.
  const least = 1e-3 * largest(kept.gradients.map(([, values]) => largest(values)));
  for (const [i, [name, values]] of kept.gradients.entries()) {
    const most = Math.max(least, largest(values));
    for (const [k, value] of values.entries())
      if (!(Math.abs(again.gradients[i]![1][k]! - value) <= relative * most))
        expect.fail(`${name}: ${again.gradients[i]![1][k]}, not ${value}`);
  }
}

const families = Object.entries(smallBackbones).map(([name, build]): [string, Build] => [
  name,
  (generator) => build(generator),
]);

it.each([...families, ...Object.entries(dropping)])(
  '%s, its blocks computed again: gradients, statistics and dropout are those of keeping all',
  (_, build) => {
    expectSame(outcome(build, checkpointed, 'float64'), outcome(build, whole, 'float64'), 1e-12);
  },
);

it('in the blocked layout too', () => {
  const build: Build = (generator) => new SmallResNet({ widths: [8, 16], depths: 2, generator });
  expectSame(outcome(build, checkpointed, 'float32'), outcome(build, whole, 'float32'), 1e-5);
});

it('within a gradient cache, the gradients are those of the batch at once', () => {
  const build = dropping['vit that skips branches']!;
  const cached =
    (within: Way | null): Way =>
    (model, dropout) =>
      new GradientCache(model, 2, dropout, within?.(model, dropout));
  expect(outcome(build, cached(checkpointed), 'float64')).toEqual(outcome(build, cached(null), 'float64'));
});

it('refuses a backbone without blocks', () => {
  using model = new EmbeddingModel(new AlexNet({ skipInit: true } as never), { embeddingDim: 4 });
  expect(() => new ActivationCheckpoints(model, new Generator())).toThrow(
    /^train\.activationCheckpointing: expected a backbone of blocks.*got alexnet/,
  );
});
