import { F, Generator, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { SmoothApLoss } from '../losses/smooth-ap.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { batchRows } from '../rows.js';
import { embedWhole } from './batch-embedder.js';
import { GradientCache } from './gradient-cache.js';

// Of a loss of ranks, on one batch.

const [COUNT, SIZE, CHUNK] = [4000, 64, 100];
const labels = Int32Array.from({ length: COUNT }, (_, i) => Math.floor(i / 4));

type DType = 'float32' | 'float64';

/** Of all parameters, one after the other. */
function gradients(dtype: DType, chunk: number | null): number[] {
  const [generator, dropoutGenerator] = [new Generator(1), new Generator(9)];
  const options = { widths: [4, 8, 16], frozenBatchNorm: true, generator, dropoutGenerator };
  using model = new EmbeddingModel(new SmallResNet(options), { embeddingDim: 16, dropout: 0, generator });
  model.to({ dtype });
  return scope(() => {
    const images = randn([COUNT, 3, SIZE, SIZE], { generator: new Generator(2) }).to(dtype);
    const { rows, backward } =
      chunk === null
        ? embedWhole(model, images)
        : new GradientCache(model, chunk, dropoutGenerator).embed(images);
    const anchors = batchRows(F.normalize(rows), labels);
    backward(new SmoothApLoss({ temperature: 0.1 }).forward(anchors, anchors));
    return model.parameters().flatMap(({ grad }) => [...(grad?.toNumbers() ?? [])]);
  });
}

/** How far one list is from another, as a share of the latter's length. */
const apart = (a: number[], b: number[]) => {
  expect(a).toHaveLength(b.length);
  return Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);
};

it('4,000 images of 64 px in chunks of 100 have the gradients of the whole', { timeout: 1_800_000 }, () => {
  const whole = gradients('float64', null);
  expect(Math.hypot(...whole)).toBeGreaterThan(0);
  expect(apart(gradients('float64', CHUNK), whole)).toBeLessThan(1e-10);
  // float32 rounds sums of 4,000 images to about 1e-5, those of chunks no more than those of the whole.
  const [rounded, chunked] = [gradients('float32', null), gradients('float32', CHUNK)];
  expect(apart(chunked, whole)).toBeLessThan(2 * apart(rounded, whole));
});
