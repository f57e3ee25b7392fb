import { F, Generator, numThreads, randn, setNumThreads, type Tensor, tensor } from '@conquer-dml/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HistogramLoss } from './histogram.js';
import { SoftTripleLoss } from './soft-triple.js';
import { TripletSemihardLoss } from './triplet-semihard.js';

const REPEATS = 20;

describe('with two threads the same gradients to the bit each time', () => {
  const before = numThreads();
  beforeAll(() => setNumThreads(2));
  afterAll(() => setNumThreads(before));

  // Large enough that operators share their work, and that many pairs fall to one node, or one row.
  const size = 384;
  const rows = F.normalize(randn([size, 64], { generator: new Generator(1) }));
  const labels = Int32Array.from({ length: size }, (_, i) => i % 48);
  const repeated = (loss: HistogramLoss | SoftTripleLoss, of: (embeddings: Tensor) => Tensor[]) => {
    const seen = new Set<string>();
    for (let i = 0; i < REPEATS; i++) {
      const embeddings = rows.clone().requiresGrad_();
      for (const parameter of loss.parameters()) parameter.grad = null;
      loss.ofBatch(embeddings, labels).backward();
      const gradients = of(embeddings);
      expect(gradients.every((gradient) => gradient.abs().sum().item() > 0)).toBe(true);
      seen.add(
        gradients.map((gradient) => Buffer.from(gradient.toTypedArray().buffer).toString('base64')).join(),
      );
    }
    expect(seen.size).toBe(1);
  };

  it('histogram, whose pairs are selected by masks', () => {
    repeated(new HistogramLoss(), (embeddings) => [embeddings.grad!]);
  });

  it('soft-triple, of its centres too', () => {
    const options = { numClasses: 48, embeddingDim: 64, centresPerClass: 12, generator: new Generator(2) };
    const loss = new SoftTripleLoss(options);
    repeated(loss, (embeddings) => [embeddings.grad!, loss.centres.grad!]);
  });
});

describe('of equally near negatives the gradient goes to the first', () => {
  // Of the first anchor both negatives are nearer than its positive, so that the farthest counts; of the second both are
  // farther, so that the nearest does. Loss and gradients: PyTorch 2.13's, of the same by min(), argmax() and gather().
  for (const [order, side] of [
    ['one above the other', 1],
    ['the other above the one', -1],
  ] as const) {
    it(`triplet-semihard, ${order}`, () => {
      const points = [0, 0, 4, 0, 0, 2 * side, 0, -2 * side];
      const x = tensor(points, { shape: [4, 2], dtype: 'float64' }).requiresGrad_();
      const loss = new TripletSemihardLoss({ margin: 5 }).ofBatch(x, Int32Array.of(0, 0, 1, 2));
      loss.backward();
      expect(loss.item()).toBeCloseTo(5.76393202250021, 12);
      const [up, across, down] = [0.22360679774997896, 0.4472135954999579, -0.7236067977499789];
      const wanted = [-1, 0.5 * side, 1 - across, up * side, across, down * side, 0, 0];
      const found = [...x.grad!.toNumbers()];
      for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 12);
      // Not nearly nothing: nothing.
      expect(found.slice(6).every((value) => value === 0)).toBe(true);
    });
  }
});
