import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { CenterCrop } from './center-crop.js';
import { RandomResizedCrop } from './random-resized-crop.js';

/** [width, height] of the image, area and ratio: square, wide, tall, tiny, and one where few crops fit. */
const settings: { image: [number, number]; area: [number, number]; ratio: [number, number] }[] = [
  { image: [500, 375], area: [0.08, 1], ratio: [3 / 4, 4 / 3] },
  { image: [72, 72], area: [0.5, 1], ratio: [0.9, 1.1] },
  { image: [90, 400], area: [0.08, 1], ratio: [3 / 4, 4 / 3] },
  { image: [400, 90], area: [0.4, 1], ratio: [3 / 4, 4 / 3] },
  { image: [6, 5], area: [0.08, 1], ratio: [3 / 4, 4 / 3] },
];

describeWithPython(
  'RandomResizedCrop against torchvision',
  ['torch', 'torchvision', 'scipy', 'numpy'],
  () => {
    it('draws area, shape and place from the same distributions', () => {
      const random = new Random(1);
      const draws = settings.map(({ image: [width, height], area, ratio }) => {
        const cropping = new RandomResizedCrop({ size: 10, area, ratio });
        return Array.from({ length: 1500 }, () => {
          const { crop } = cropping.draw({ width, height }, random);
          return [crop.left, crop.top, crop.width, crop.height];
        });
      });
      // p-values of the two-sample Kolmogorov-Smirnov test of each setting and each of six quantities.
      const pValues = runPython<number[][]>(
        `
        import numpy, torch, torchvision
        from scipy.stats import ks_2samp
        torch.manual_seed(0)
        output = []
        for setting, ours in zip(input['settings'], input['draws']):
            width, height = setting['image']
            image = torch.zeros(1, height, width)
            params = [torchvision.transforms.RandomResizedCrop.get_params(image, setting['area'], setting['ratio'])
                      for _ in range(1500)]
            theirs = numpy.array([[left, top, w, h] for top, left, h, w in params], float)
            def quantities(crops):
                left, top, w, h = numpy.array(crops, float).T
                return [left, top, w, h, w * h, w / h]
            output.append([ks_2samp(a, b).pvalue for a, b in zip(quantities(ours), quantities(theirs))])
      `,
        { settings, draws },
      );
      // 30 tests with fixed seeds: the smallest p-value of equal distributions is below 0.001 once in 33 seeds.
      for (const [index, values] of pValues.entries()) {
        expect(Math.min(...values), `setting ${index}: ${values.map((p) => p.toFixed(3))}`).toBeGreaterThan(
          0.001,
        );
      }
    });
  },
);

it('RandomResizedCrop stays inside of the image, and flips as often as it is told', () => {
  const random = new Random(2);
  for (let round = 0; round < 3000; round++) {
    const [width, height] = [1 + random.int(60), 1 + random.int(60)];
    const { crop } = new RandomResizedCrop({ size: 8 }).draw({ width, height }, random);
    expect(Math.min(crop.left, crop.top) >= 0 && crop.width >= 1 && crop.height >= 1).toBe(true);
    expect(crop.left + crop.width <= width && crop.top + crop.height <= height).toBe(true);
  }
  for (const [flip, least, most] of [
    [0, 0, 0],
    [0.5, 450, 550],
    [1, 1000, 1000],
  ] as const) {
    const cropping = new RandomResizedCrop({ size: 8, flip });
    const flips = Array.from({ length: 1000 }, () => cropping.draw({ width: 20, height: 20 }, random).flip);
    expect(flips.filter(Boolean).length).toBeGreaterThanOrEqual(least);
    expect(flips.filter(Boolean).length).toBeLessThanOrEqual(most);
  }
});

it('RandomResizedCrop falls back to the largest central crop of an allowed shape', () => {
  const cropping = new RandomResizedCrop({ size: 8, area: [1, 1], flip: 0 });
  const random = new Random(3);
  expect(cropping.draw({ width: 400, height: 90 }, random).crop).toEqual({
    left: 140,
    top: 0,
    width: 120,
    height: 90,
  });
  expect(cropping.draw({ width: 90, height: 400 }, random).crop).toEqual({
    left: 0,
    top: 140,
    width: 90,
    height: 120,
  });
  expect(() => new RandomResizedCrop({ size: 8, ratio: [0, 1] })).toThrow(/positive range of ratio/);
});

it('CenterCrop takes the centre of the short side', () => {
  const crop = (width: number, height: number, size: number, resize?: number) =>
    new CenterCrop({ size, resize }).draw({ width, height });
  expect(crop(512, 256, 224, 256)).toEqual({
    crop: { left: 144, top: 16, width: 224, height: 224 },
    flip: false,
  });
  expect(crop(100, 150, 48).crop).toEqual({ left: 0, top: 25, width: 100, height: 100 });
  expect(crop(1, 3, 224, 256).crop).toEqual({ left: 0, top: 1, width: 1, height: 1 });
  expect(() => new CenterCrop({ size: 224, resize: 200 })).toThrow(/at least size, got 200 and 224/);
});
