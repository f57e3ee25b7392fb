import { describe, expect, it } from 'vitest';
import {
  imagesFromPixels,
  liveTensors,
  mixColors,
  numThreads,
  rand,
  randint,
  setNumThreads,
  tensor,
  zeros,
} from './index.js';

describe('imagesFromPixels', () => {
  it('has the bits of the operators, for every byte and on any number of threads', () => {
    const every = tensor(
      Uint8Array.from({ length: 4 * 8 * 8 * 3 }, (_, i) => i % 256),
      { shape: [4, 8, 8, 3], dtype: 'uint8' },
    );
    const large = randint(0, 256, [7, 150, 130, 3], { dtype: 'uint8' });
    const before = numThreads();
    for (const threads of [1, 2]) {
      setNumThreads(threads);
      for (const pixels of [every, large, large.narrow(1, 3, 20), every.narrow(0, 0, 0)]) {
        const want = pixels.permute([0, 3, 1, 2]).to('float32').div(255).contiguous();
        const got = imagesFromPixels(pixels);
        expect([got.shape, got.dtype]).toEqual([want.shape, 'float32']);
        expect(got.toTypedArray()).toEqual(want.toTypedArray());
      }
    }
    setNumThreads(before);
  });

  it('leaves one tensor, and refuses what is no image', () => {
    const pixels = zeros([1, 2, 2, 3], { dtype: 'uint8' });
    const before = liveTensors();
    imagesFromPixels(pixels).dispose();
    expect(liveTensors()).toBe(before);
    expect(() => imagesFromPixels(zeros([1, 2, 2, 3]))).toThrow(
      /uint8 \(B, H, W, 3\), got float32 \(1, 2, 2, 3\)/,
    );
    expect(() => imagesFromPixels(zeros([2, 2, 3], { dtype: 'uint8' }))).toThrow(/got uint8 \(2, 2, 3\)/);
  });
});

describe('mixColors', () => {
  it('is a product with each matrix, clamped, in float32 by one pass and in float64 by operators', () => {
    for (const [batch, height, width] of [
      [5, 7, 6],
      [3, 400, 500],
    ] as const) {
      const images = rand([batch, 3, height, width]);
      const matrices = rand([batch, 12]).mul(2).sub(0.8);
      const numbers = matrices.toTypedArray() as Float32Array;
      const rows = matrices.view([batch, 3, 4]);
      const product = rows.narrow(2, 0, 3).matmul(images.reshape([batch, 3, height * width]));
      const want = product
        .add(rows.narrow(2, 3, 1))
        .clamp({ min: 0, max: 1 })
        .view([batch, 3, height, width]);
      const before = liveTensors();
      const [got, precise] = [mixColors(images, numbers), mixColors(images.to('float64'), numbers)];
      expect(got.sub(want).abs().max().item()).toBeLessThan(1e-6);
      expect(precise.sub(want).abs().max().item()).toBeLessThan(1e-6);
      expect(want.gt(0.99).any().item() && want.lt(0.01).any().item()).toBeTruthy();
      for (const made of [got, precise]) made.dispose();
      expect(liveTensors()).toBeGreaterThanOrEqual(before);
      // Not contiguous.
      const turned = mixColors(images.transpose(2, 3), numbers).transpose(2, 3);
      expect(turned.sub(want).abs().max().item()).toBeLessThan(1e-6);
    }
  });

  it('leaves NaN to be seen, one tensor, and refuses what does not fit', () => {
    const identity = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0);
    const images = tensor([[[[0.5]], [[Number.NaN]], [[0.25]]]]);
    const before = liveTensors();
    const mixed = mixColors(images, identity);
    expect(liveTensors()).toBe(before + 1);
    expect(mixed.flatten().tolist()).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(() => mixColors(images, new Float32Array(9))).toThrow(
      /12 numbers for each, got \(1, 3, 1, 1\) and 9/,
    );
    expect(() => mixColors(zeros([1, 4, 2, 2]), identity)).toThrow(/got \(1, 4, 2, 2\)/);
  });
});
