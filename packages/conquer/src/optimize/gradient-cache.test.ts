import {
  cat,
  F,
  Generator,
  imagesFromPixels,
  liveTensors,
  randint,
  randn,
  scope,
  type Tensor,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import type { BatchImages } from '../batch-images.js';
import { ImagesInChunks } from '../data/images-in-chunks.js';
import { Normalize } from '../data/normalize.js';
import type { Loss } from '../losses/loss.js';
import { losses } from '../losses/losses.js';
import { maskOrthogonality } from '../losses/mask-orthogonality.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel, type EmbeddingModelOptions } from '../models/embedding-model.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';
import { embedWhole } from './batch-embedder.js';
import { GradientCache } from './gradient-cache.js';

const CLASSES = 6;
const labels = Int32Array.from({ length: 24 }, (_, i) => Math.floor(i / 4) % CLASSES);
const images = randn([24, 3, 12, 12], { generator: new Generator(2) });

/** What a loss needs to be above 0 here, where rows are nearer than it expects. */
const optionsFor: Record<string, object> = { 'kantorov-margin': { beta: 0.15, distanceThreshold: 0.1 } };

interface Made extends Pick<EmbeddingModelOptions, 'head'> {
  dropPath?: number;
  dropout?: number;
  frozenBatchNorm?: boolean;
}

function network({ dropPath = 0, dropout = 0, frozenBatchNorm = true, head }: Made = {}) {
  const generator = new Generator(1);
  const dropoutGenerator = new Generator(9);
  const backbone = new SmallResNet({
    widths: [4, 8],
    dropPath,
    frozenBatchNorm,
    generator,
    dropoutGenerator,
  });
  const masks = { numLearners: 2, initialisation: 'normal', generator } as const;
  const model = new EmbeddingModel(backbone, {
    embeddingDim: 8,
    dropout,
    generator,
    dropoutGenerator,
    masks,
    head,
  });
  return { model, dropoutGenerator };
}

/** The gradients by names, and the sum of their squares' root. */
function gradientsOf(modules: { namedParameters(): Iterable<[string, Tensor]> }[]) {
  const named = modules.flatMap((module, i) =>
    [...module.namedParameters()].map(([name, p]) => [`${i}.${name}`, p] as const),
  );
  return new Map(named.map(([name, { grad }]) => [name, grad?.toNumbers() ?? null]));
}

function apart(a: ReturnType<typeof gradientsOf>, b: ReturnType<typeof gradientsOf>): number {
  let [off, length] = [0, 0];
  expect([...a.keys()]).toEqual([...b.keys()]);
  for (const [name, numbers] of a) {
    const others = b.get(name)!;
    expect(others === null, name).toBe(numbers === null);
    for (const [i, value] of (numbers ?? []).entries()) {
      off += (value - others[i]!) ** 2;
      length += value ** 2;
    }
  }
  // Above what sums round to.
  expect(length).toBeGreaterThan(1e-12);
  return Math.sqrt(off / length);
}

/** The gradients of a loss, of a learner and of the masks' similarity, of the batch at once or in chunks. */
function gradients(part: (typeof losses)[number], chunk: number | null) {
  return scope(() => {
    const { model, dropoutGenerator } = network();
    const context = { numClasses: CLASSES, embeddingDim: 8, generator: new Generator(3), compat: null };
    const loss: Loss = part.build(
      withDefaults('loss', part.options, optionsFor[part.name] ?? {}) as never,
      context,
    );
    // In float32 both round, and by how much depends on the processor.
    model.to({ dtype: 'float64' });
    loss.to({ dtype: 'float64' });
    const precise = images.to('float64');
    const { rows, backward } =
      chunk === null
        ? embedWhole(model, precise)
        : new GradientCache(model, chunk, dropoutGenerator).embed(precise);
    const raw = model.masked(rows, { learner: 1 });
    const batch = { ...batchRows(F.normalize(raw), labels), raw };
    const miner = new DistanceWeightedMiner({ random: new Random(1), loss });
    const mined = loss.usesTuples ? miner.mine(batch, batch) : null;
    const value = loss.forward(batch, batch, mined);
    backward(value.add(maskOrthogonality(model.learnerMasks.stacked()).mul(0.1)));
    return { value: value.item(), of: gradientsOf([model, loss]) };
  });
}

describe('a batch in chunks', () => {
  it.each(losses.map((loss) => [loss.name, loss] as const))(
    'has the gradients of %s of the whole',
    (_, part) => {
      const whole = gradients(part, null);
      for (const chunk of [1, 7]) {
        const cached = gradients(part, chunk);
        expect(Math.abs(cached.value - whole.value)).toBeLessThan(1e-9 * Math.max(1, Math.abs(whole.value)));
        expect(apart(whole.of, cached.of)).toBeLessThan(1e-9);
      }
    },
  );

  it('has them to the rounding of float32, in float64 to 1e-12', () => {
    const of = (dtype: 'float32' | 'float64', chunk: number) =>
      scope(() => {
        const { model, dropoutGenerator } = network();
        model.to({ dtype });
        const { rows, backward } = new GradientCache(model, chunk, dropoutGenerator).embed(images.to(dtype));
        const x = F.normalize(rows);
        backward(x.matmul(x.t()).square().mean());
        return gradientsOf([model]);
      });
    expect(apart(of('float32', 24), of('float32', 5))).toBeLessThan(1e-5);
    expect(apart(of('float64', 24), of('float64', 5))).toBeLessThan(1e-12);
  });

  it('has them of images that are bytes until their turn', () => {
    const pixels = randint(0, 256, [24, 12, 12, 3], { dtype: 'uint8', generator: new Generator(4) });
    const transform = new Normalize();
    const of = (seen: BatchImages) =>
      scope(() => {
        const { model, dropoutGenerator } = network();
        const { rows, backward } = new GradientCache(model, 5, dropoutGenerator).embed(seen);
        const x = F.normalize(rows);
        backward(x.matmul(x.t()).square().mean());
        return gradientsOf([model]);
      });
    const tensors = of(transform.apply(imagesFromPixels(pixels)));
    expect(apart(tensors, of(new ImagesInChunks(pixels, transform, new Random(1), 5, 'cpu')))).toBe(0);
  });

  it('draws dropout and drop path of each chunk once, and leaves the generator as one pass does', () => {
    const options = { dropout: 0.4, dropPath: 0.4 };
    const squares = (rows: Tensor) => scope(() => rows.matmul(rows.t()).square().mean());
    const chunks = [0, 9, 18].map((from) => [from, Math.min(9, 24 - from)] as const);
    const cached = network(options);
    const { rows, backward } = new GradientCache(cached.model, 9, cached.dropoutGenerator).embed(images);
    backward(squares(rows));
    const graph = network(options);
    const all = cat(chunks.map(([from, count]) => graph.model.unmasked(images.narrow(0, from, count))));
    squares(all).backward();
    expect(rows.tolist()).toEqual(all.tolist());
    expect(apart(gradientsOf([graph.model]), gradientsOf([cached.model]))).toBeLessThan(1e-6);
    expect(cached.dropoutGenerator.state()).toEqual(graph.dropoutGenerator.state());
    // The chance must matter, or nothing was compared.
    expect(apart(gradientsOf([graph.model]), gradientsOf([other(options).model]))).toBeGreaterThan(0.01);
  });

  /** With other draws. */
  function other(options: Made) {
    const made = network(options);
    made.dropoutGenerator.seed(77);
    scope(() => {
      const rows = made.model.unmasked(images);
      rows.matmul(rows.t()).square().mean().backward();
    });
    return made;
  }

  it('refuses BatchNorm that trains, in words', () => {
    const refused = (options: Made) => {
      const { model, dropoutGenerator } = network(options);
      return () => new GradientCache(model, 5, dropoutGenerator);
    };
    expect(refused({ frozenBatchNorm: false })).toThrow(
      /train\.gradientCache: expected a network whose BatchNorm is frozen, as one that trains \(.*bn.*\) .*'frozen'.*or null/,
    );
    expect(refused({ head: { name: 'bnneck' } })).toThrow(/train\.gradientCache: .*head/);
    expect(refused({})).not.toThrow();
  });

  it('leaves no tensor behind', () => {
    const { model, dropoutGenerator } = network();
    const run = () =>
      scope(() => {
        const { rows, backward } = new GradientCache(model, 5, dropoutGenerator).embed(images);
        backward(rows.square().sum());
      });
    run();
    const before = liveTensors();
    run();
    expect(liveTensors()).toBe(before);
  });
});
