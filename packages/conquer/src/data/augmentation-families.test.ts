import { Generator, liveTensors, ones, rand, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { augmentationFamilies, augmentationFamily } from './augmentation-families.js';
import type { BatchTransform } from './batch-transform.js';
import { Blur } from './blur.js';
import { BrightnessContrast } from './brightness-contrast.js';
import { CoarseDropout } from './coarse-dropout.js';
import { RandomApply } from './random-apply.js';

const photos = (batch: number, size: number) => rand([batch, 3, size, size], { generator: new Generator(1) });

/** Rows of the batch that differ from what went in. */
function changed(before: Tensor, after: Tensor): number[] {
  const gaps = after.sub(before).abs().amax([1, 2, 3]).toNumbers();
  return Array.from(gaps.keys()).filter((image) => (gaps[image] as number) > 1e-6);
}

describe('RandomApply', () => {
  it('changes about the wanted share of the images, and leaves the others alone', () => {
    const images = photos(400, 4);
    const twice: BatchTransform = { apply: (batch) => batch.add(1) };
    const count = (p: number) =>
      changed(images, new RandomApply(twice, p).apply(images, new Random(1))).length;
    expect([count(0), count(1)]).toEqual([0, 400]);
    expect(Math.abs(count(0.3) - 120)).toBeLessThan(30);
    expect(() => new RandomApply(twice, 1.1)).toThrow(/0 to 1/);
  });
});

describe('BrightnessContrast', () => {
  it('is one line a x + b for each image, within its bounds', () => {
    const images = photos(50, 4).mul(0.2).add(0.4);
    const result = new BrightnessContrast({ brightness: 0.1, contrast: 0.3 }).apply(images, new Random(2));
    const [x, y] = [images, result].map((t) => t.reshape([50, 48]).toNumbers()) as [
      Float64Array,
      Float64Array,
    ];
    const slopes: number[] = [];
    for (let image = 0; image < 50; image++) {
      const at = (values: Float64Array, i: number) => values[48 * image + i] as number;
      const slope = (at(y, 0) - at(y, 1)) / (at(x, 0) - at(x, 1));
      const shift = at(y, 0) - slope * at(x, 0);
      expect(Math.abs(slope - 1)).toBeLessThan(0.3 + 1e-3);
      expect(Math.abs(shift)).toBeLessThan(0.1 + 1e-3);
      for (const i of [2, 17, 47]) expect(at(y, i)).toBeCloseTo(slope * at(x, i) + shift, 4);
      slopes.push(slope);
    }
    expect(Math.max(...slopes) - Math.min(...slopes)).toBeGreaterThan(0.3);
    const bright = new BrightnessContrast({ brightness: 1 }).apply(photos(20, 4), new Random(2));
    expect([bright.amin([0, 1, 2, 3]).item(), bright.amax([0, 1, 2, 3]).item()]).toEqual([0, 1]);
  });
});

describe('Blur', () => {
  it('is the mean of a square, with the border mirrored', () => {
    const images = photos(1, 6);
    const blurred = new Blur({ sides: [5] }).apply(images, new Random(3)).toNumbers();
    const pixels = images.toNumbers();
    const mirror = (i: number) => (i < 0 ? -i : i > 5 ? 10 - i : i);
    for (const [channel, row, column] of [
      [0, 0, 0],
      [1, 2, 3],
      [2, 5, 4],
    ] as const) {
      let sum = 0;
      for (let y = row - 2; y <= row + 2; y++) {
        for (let x = column - 2; x <= column + 2; x++) {
          sum += pixels[channel * 36 + mirror(y) * 6 + mirror(x)] as number;
        }
      }
      expect(blurred[channel * 36 + row * 6 + column]).toBeCloseTo(sum / 25, 5);
    }
  });

  it('draws the side for each image', () => {
    const point = (sides?: number[]) => {
      const images = tensor(
        Float32Array.from({ length: 60 * 3 * 81 }, (_, i) => (i % 81 === 40 ? 1 : 0)),
        {
          shape: [60, 3, 9, 9],
        },
      );
      const blurred = new Blur({ sides }).apply(images, new Random(4)).toNumbers();
      return new Set(Array.from({ length: 60 }, (_, i) => Math.round(1 / (blurred[i * 243 + 40] as number))));
    };
    expect(point()).toEqual(new Set([9, 25, 49]));
    expect(point([3])).toEqual(new Set([9]));
    expect(() => new Blur({ sides: [4] })).toThrow(/odd/);
  });
});

describe('CoarseDropout', () => {
  it('makes black holes of the wanted number and size inside each image', () => {
    const white = ones([300, 3, 20, 20]);
    const dropped = (options: ConstructorParameters<typeof CoarseDropout>[0]) => {
      const result = new CoarseDropout(options).apply(white, new Random(5)).toNumbers();
      return Array.from({ length: 300 }, (_, i) =>
        Array.from(result.subarray(i * 1200, i * 1200 + 400)).filter((value) => value === 0),
      ).map(({ length }) => length);
    };
    expect(new Set(dropped({ holes: [1, 1], side: [4, 4] }))).toEqual(new Set([16]));
    const areas = new Set(dropped({ holes: [1, 1], side: [2, 3] }));
    expect(areas).toEqual(new Set([4, 6, 9]));
    const several = dropped({ holes: [1, 5], side: [2, 2] });
    expect([Math.min(...several), Math.max(...several)]).toEqual([4, 20]);
    // As large as the image at most.
    expect(new Set(dropped({}))).toEqual(new Set([400]));
  });
});

describe.each(augmentationFamilies)('%s', (family) => {
  it('keeps size and range, repeats with its Random, changes images one by one, and leaves no tensor', () => {
    const images = photos(40, 32);
    const copy = images.clone();
    const transform = augmentationFamily(family, 32);
    const before = liveTensors();
    const [first, second] = [6, 6].map((seed) => transform.apply(images, new Random(seed))) as [
      Tensor,
      Tensor,
    ];
    expect(liveTensors()).toBe(before + 2);
    expect(first.shape).toEqual([40, 3, 32, 32]);
    expect(first.tolist()).toEqual(second.tolist());
    expect(images.tolist()).toEqual(copy.tolist());
    expect(first.amin([0, 1, 2, 3]).item()).toBeGreaterThanOrEqual(0);
    expect(first.amax([0, 1, 2, 3]).item()).toBeLessThanOrEqual(1 + 1e-5);
    const count = changed(images, first).length;
    // Untouched with the probabilities 1/8, 1/16, and 1/5 of 4/5.
    expect(count).toBeGreaterThan(20);
    expect(count).toBeLessThanOrEqual(40);
  });
});

describe('the families', () => {
  it('do what their names say: holes and turns, brightness too, or colours', () => {
    const grey = ones([200, 3, 32, 32]).mul(0.5);
    const stats = Object.fromEntries(
      augmentationFamilies.map((family) => {
        const result = augmentationFamily(family, 32).apply(grey, new Random(7));
        const black = result.amin([1, 2, 3]).eq(0).sum().item();
        const bright = result.amax([1, 2, 3]).sub(0.5).abs().gt(1e-3).sum().item();
        return [family, { black, bright }];
      }),
    );
    // Without brightness, only the mean of holes can differ from grey; a hole is there half of the time.
    expect(stats.geom?.bright).toBe(0);
    expect(stats.geom?.black).toBeGreaterThan(40);
    expect(stats['geom-color']?.bright).toBeGreaterThan(60);
    expect(stats['geom-color']?.black).toBeGreaterThan(40);
    expect(stats['color-heavy']).toMatchObject({ black: 0 });
    expect(stats['color-heavy']?.bright).toBeGreaterThan(100);
  });
});
