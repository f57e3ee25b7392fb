import { F, Generator, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { SmoothApLoss } from '../losses/smooth-ap.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { batchRows } from '../rows.js';
import { embedWhole } from './batch-embedder.js';
import { GradientCache } from './gradient-cache.js';

const [COUNT, SIZE, CHUNK] = [4000, 64, 100];

it('4,000 images of 64 px in chunks of 100 have the gradients of the whole, of a loss of ranks', {
  timeout: 1_200_000,
}, () => {
  const labels = Int32Array.from({ length: COUNT }, (_, i) => Math.floor(i / 4));
  const images = randn([COUNT, 3, SIZE, SIZE], { generator: new Generator(2) });
  const gradients = (chunk: number | null) => {
    const [generator, dropoutGenerator] = [new Generator(1), new Generator(9)];
    const backbone = new SmallResNet({
      widths: [4, 8, 16],
      frozenBatchNorm: true,
      generator,
      dropoutGenerator,
    });
    using model = new EmbeddingModel(backbone, { embeddingDim: 16, dropout: 0, generator, dropoutGenerator });
    scope(() => {
      const { rows, backward } =
        chunk === null
          ? embedWhole(model, images)
          : new GradientCache(model, chunk, dropoutGenerator).embed(images);
      // Ranks among 4,000 as far apart as those of a step that trains.
      const anchors = batchRows(F.normalize(rows), labels);
      backward(new SmoothApLoss({ temperature: 0.1 }).forward(anchors, anchors));
    });
    return new Map([...model.namedParameters()].map(([name, { grad }]) => [name, grad?.toNumbers() ?? null]));
  };
  const [whole, cached] = [gradients(null), gradients(CHUNK)];
  let [off, length] = [0, 0];
  for (const [name, numbers] of whole) {
    const others = cached.get(name)!;
    expect(others === null, name).toBe(numbers === null);
    for (const [i, value] of (numbers ?? []).entries()) {
      off += (value - others[i]!) ** 2;
      length += value ** 2;
    }
  }
  expect(length).toBeGreaterThan(0);
  expect(Math.sqrt(off / length)).toBeLessThan(1e-6);
});
