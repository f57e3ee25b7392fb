import type { ImageSet } from '@conquer-dml/image';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { F, Generator, liveTensors, rand, randint, type Tensor, zeros } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { Affine, type AffineOptions } from './affine.js';
import { AffineCrop } from './affine-crop.js';
import type { BatchTransform } from './batch-transform.js';
import { adjustBrightness_, adjustContrast_, adjustHue_, adjustSaturation_, perImage } from './color.js';
import { ColorJitter } from './color-jitter.js';
import { ColorMix } from './color-mix.js';
import { Compose } from './compose.js';
import { CropSource } from './crop-source.js';
import { Grayscale } from './grayscale.js';
import { imageNetStatistics, Normalize } from './normalize.js';

function images(batch = 6, size = 9, seed = 1): Tensor {
  return rand([batch, 3, size, size], { generator: new Generator(seed) });
}

const largestDifference = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

describeWithPython('colours against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it('adjusts, jitters and greys alike', () => {
    const x = images(8);
    // Grey, black, white and pure colours are the special cases of the hue.
    const special = [
      [0.5, 0.5, 0.5],
      [0, 0, 0],
      [1, 1, 1],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [1, 1, 0],
      [0.2, 0.2, 0.7],
    ];
    for (const [column, color] of special.entries()) {
      for (const [channel, value] of color.entries())
        x.select(1, channel).select(1, 0).select(1, column).fill_(value);
    }
    const factors = [0, 0.3, 0.6, 1, 1.2, 1.4, 1.7, 2];
    const turns = [-0.5, -0.3, -0.1, 0, 0.05, 0.1, 0.33, 0.5];
    const y = images(5);
    const seeds = [1, 2, 3, 4];
    const draws = seeds.map((seed) => {
      const random = new Random(seed);
      const order = [...random.permutation(4)];
      const ranges = [0.4, 0.4, 0.4, 0.1];
      const parameters = order.map((index) => {
        const middle = index === 3 ? 0 : 1;
        return Array.from({ length: 5 }, () =>
          random.uniform(middle - ranges[index]!, middle + ranges[index]!),
        );
      });
      return { order, parameters };
    });
    expect(new Set(draws.map(({ order }) => order.join())).size).toBeGreaterThan(1);
    const { jittered, ...adjusted } = runPython<Record<string, Tensor> & { jittered: Tensor[] }>(
      `
        import torch
        from torchvision.transforms import functional as F
        x, y = input['x'], input['y']
        adjust = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
        def each(function, values, images):
            return torch.stack([function(image, value) for image, value in zip(images, values)])
        output = {name: each(function, input['turns' if name == 'hue' else 'factors'], x)
                  for name, function in zip(['brightness', 'contrast', 'saturation', 'hue'], adjust)}
        output['gray'] = F.rgb_to_grayscale(x, 3).contiguous()
        output['jittered'] = []
        for draw in input['draws']:
            images = y
            for index, parameters in zip(draw['order'], draw['parameters']):
                images = each(adjust[index], parameters, images)
            output['jittered'].append(images)
      `,
      { x, y, factors, turns, draws },
    );
    const adjustedCopy = (adjust: (images: Tensor, parameters: Tensor) => void, parameters: number[]) => {
      const result = x.clone();
      adjust(result, perImage(parameters, x));
      return result;
    };
    const got: Record<string, Tensor> = {
      brightness: adjustedCopy(adjustBrightness_, factors),
      contrast: adjustedCopy(adjustContrast_, factors),
      saturation: adjustedCopy(adjustSaturation_, factors),
      hue: adjustedCopy(adjustHue_, turns),
      gray: new Grayscale({ probability: 1 }).apply(x, new Random(1)),
    };
    expect(Object.keys(adjusted).sort()).toEqual(Object.keys(got).sort());
    for (const [name, want] of Object.entries(adjusted)) {
      expect(largestDifference(got[name]!, want), name).toBeLessThan(2e-6);
    }
    // With the drawn parameters, in the drawn order.
    for (const [index, seed] of seeds.entries()) {
      const result = new ColorJitter().apply(y, new Random(seed));
      expect(largestDifference(result, jittered[index]!), `jitter, seed ${seed}`).toBeLessThan(5e-6);
    }
  });
});

/** Of every kind of affine map. */
const ranges = {
  rotation: 40,
  scale: [0.6, 1.7],
  stretch: 0.3,
  shear: 0.2,
  shift: 0.15,
  flip: 0.5,
} as const;

describeWithPython('Affine against scipy', ['scipy', 'torch', 'numpy'], () => {
  it('maps the output to the input by mirror, stretch, zoom, shear, rotation and shift, in this order', () => {
    const x = images(6, 17);
    const fills = ['border', 0.25, 0, 1] as const;
    const random = new Random(8);
    const draws = Array.from({ length: 6 }, () => ({
      angle: random.uniform(-40, 40),
      zoom: Math.exp(random.uniform(Math.log(0.6), Math.log(1.7))),
      ratio: Math.exp(random.uniform(-0.3, 0.3)),
      slant: random.uniform(-0.2, 0.2),
      shift: [random.uniform(-0.15, 0.15), random.uniform(-0.15, 0.15)],
      flip: random.next() < 0.5,
    }));
    expect(new Set(draws.map(({ flip }) => flip)).size).toBe(2);
    const expected = runPython<Tensor[]>(
      `
        import math, numpy, torch
        from scipy.ndimage import map_coordinates
        P, S = 17, 12
        output = []
        for fill in input['fills']:
            result = numpy.empty((6, 3, S, S), numpy.float32)
            for image, draw, out in zip(input['x'].numpy(), input['draws'], result):
                a = math.radians(draw['angle'])
                rotate = numpy.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
                shear = numpy.array([[1, draw['slant']], [0, 1]])
                stretch = numpy.diag([1 / draw['ratio'], draw['ratio']]) / draw['zoom']
                mirror = numpy.diag([-1 if draw['flip'] else 1, 1])
                # Centred coordinates in shares of the side.
                y, x = numpy.mgrid[0:S, 0:S]
                centred = numpy.stack([(x.ravel() + 0.5) / S - 0.5, (y.ravel() + 0.5) / S - 0.5])
                source = rotate @ shear @ stretch @ mirror @ centred + numpy.array(draw['shift'])[:, None]
                column, row = (source + 0.5) * P - 0.5
                for channel in range(3):
                    if fill == 'border':
                        values = map_coordinates(image[channel], [row, column], order=1, mode='nearest')
                    else:
                        values = map_coordinates(
                            numpy.pad(image[channel], 2, constant_values=fill), [row + 2, column + 2],
                            order=1, mode='constant', cval=fill)
                    out[channel] = values.reshape(S, S)
            output.append(result)
      `,
      { x, draws, fills },
    );
    for (const [index, fill] of fills.entries()) {
      const got = new Affine({ size: 12, ...ranges, fill }).apply(x, new Random(8));
      // Rows that read exactly at the border differ by rounding of the coordinates.
      expect(largestDifference(got, expected[index]!), `fill ${fill}`).toBeLessThan(2e-5);
    }
  });
});

describe('Affine', () => {
  const apply = (options: AffineOptions, x: Tensor, seed = 1) =>
    new Affine(options).apply(x, new Random(seed));

  it('without options only resizes', () => {
    const x = images(2, 18);
    const resized = F.interpolate(x, { size: 12, mode: 'bilinear' });
    expect(largestDifference(apply({ size: 12 }, x), resized)).toBeLessThan(1e-5);
    expect(largestDifference(apply({ size: 18 }, x), x)).toBeLessThan(1e-5);
    expect(largestDifference(apply({ size: 18, flip: 1 }, x), x.flip([3]))).toBeLessThan(1e-5);
  });

  it('keeps white white where it fills with white, for whatever is drawn', () => {
    const white = zeros([20, 3, 8, 8]).add(1);
    const wild = {
      size: 6,
      rotation: 180,
      scale: [0.2, 3],
      stretch: 1,
      shear: 1,
      shift: 1,
      flip: 0.5,
    } as const;
    expect(largestDifference(apply({ ...wild, fill: 1 }, white), zeros([20, 3, 6, 6]).add(1))).toBeLessThan(
      1e-6,
    );
    expect(
      apply({ ...wild, fill: 0 }, white)
        .min()
        .item(),
    ).toBe(0);
  });

  it('is what AffineCrop does while images are read, up to rounding to 8 bits', async () => {
    const [side, size, count] = [20, 13, 12];
    const pixels = randint(0, 256, [count, side, side, 3], { dtype: 'uint8' });
    const planes = pixels.permute([0, 3, 1, 2]).to('float32').div_(255);
    const whole = {
      count,
      sizes: async (of: Iterable<number>) => Array.from(of, () => ({ width: side, height: side })),
    };
    const set: ImageSet = {
      ...whole,
      async read(requests, out) {
        const bytes = pixels.toTypedArray() as Uint8Array;
        for (const [place, { index, crop, size: of }] of requests.entries()) {
          expect([crop, of]).toEqual([
            { left: 0, top: 0, width: side, height: side },
            { width: side, height: side },
          ]);
          const length = side * side * 3;
          out.set(bytes.subarray(index * length, (index + 1) * length), place * length);
        }
      },
    };
    for (const fill of ['border', 1, 0.4] as const) {
      const cropping = new AffineCrop({ size, from: side, ...ranges, fill });
      const source = new CropSource({ images: set, cropping });
      const read = await source.read(
        Int32Array.from({ length: count }, (_, i) => i),
        new Random(3),
        new AbortController().signal,
      );
      const got = read.permute([0, 3, 1, 2]).to('float32').div_(255);
      const want = new Affine({ size, ...ranges, fill }).apply(planes, new Random(3));
      expect(largestDifference(got, want), `fill ${fill}`).toBeLessThan(0.6 / 255);
    }
  });

  it('draws the same numbers whatever the options', () => {
    const [a, b] = [new Random(1), new Random(1)];
    new Affine({ size: 4 }).apply(images(3), a);
    new Affine({ size: 4, rotation: 30, flip: 1, fill: 0 }).apply(images(3), b);
    expect(a.getState()).toEqual(b.getState());
    expect(() => new Affine({ size: 4, scale: [0, 1] })).toThrow(/positive scales/);
  });
});

describe('ColorMix', () => {
  it('is the matrix product on the ink that it says', () => {
    const x = images(4);
    const random = new Random(6);
    const options = { contrast: 0.3, saturation: 0.5, mixing: 0.1, grayscale: 0.5 };
    const got = new ColorMix(options).apply(x, new Random(6));
    let grays = 0;
    for (let image = 0; image < 4; image++) {
      const isGray = random.next() < 0.5;
      const saturation = random.uniform(0.5, 1.5);
      const contrast = random.uniform(0.7, 1.3);
      const noise = Array.from({ length: 9 }, () => 0.1 * random.normal());
      grays += isGray ? 1 : 0;
      for (const [row, column] of [
        [0, 0],
        [3, 7],
        [8, 8],
      ] as const) {
        const at = (tensor: Tensor, channel: number) =>
          (tensor.tolist() as number[][][][])[image]![channel]![row]![column]!;
        const ink = [0, 1, 2].map((channel) => 1 - at(x, channel));
        const mean = (ink[0]! + ink[1]! + ink[2]!) / 3;
        for (let channel = 0; channel < 3; channel++) {
          const mixed = ink.reduce((sum, value, other) => sum + noise[channel * 3 + other]! * value, 0);
          const colored = saturation * ink[channel]! + (1 - saturation) * mean + mixed;
          const want = 1 - contrast * (isGray ? mean : colored);
          expect(at(got, channel)).toBeCloseTo(Math.min(1, Math.max(0, want)), 5);
        }
      }
    }
    expect([1, 2, 3]).toContain(grays);
  });

  it('keeps white', () => {
    const white = zeros([8, 3, 4, 4]).add(1);
    expect(largestDifference(new ColorMix().apply(white, new Random(1)), white)).toBeLessThan(1e-6);
  });
});

describe('the other transforms', () => {
  it('Grayscale chooses as many images as it is told and leaves the others as they are', () => {
    const x = images(400, 2);
    const got = new Grayscale({ probability: 0.2 }).apply(x, new Random(1));
    const changed = got.sub(x).abs().amax([1, 2, 3]).gt(0).to('float32').sum().item();
    expect(changed).toBeGreaterThan(55);
    expect(changed).toBeLessThan(105);
    const spread = got.amax(1).sub(got.amin(1)).amax([1, 2]).eq(0).to('float32').sum().item();
    expect(spread).toBe(changed);
  });

  it('ColorJitter leaves out what is 0, and refuses nonsense', () => {
    const x = images();
    const none = new ColorJitter({ brightness: 0, contrast: 0, saturation: 0, hue: 0 });
    expect(largestDifference(none.apply(x, new Random(1)), x)).toBe(0);
    const [a, b] = [new Random(1), new Random(1)];
    new ColorJitter({ brightness: 0.2, contrast: 0, saturation: 0, hue: 0 }).apply(x, a);
    b.permutation(1);
    for (let image = 0; image < 6; image++) b.next();
    expect(a.getState()).toEqual(b.getState());
    expect(() => new ColorJitter({ hue: 0.6 })).toThrow(/hue from 0 to 0.5, got 0.6/);
    expect(() => new ColorJitter({ contrast: -1 })).toThrow(/at least 0, got -1/);
  });

  it('Normalize subtracts the mean and divides by the deviation of each channel', () => {
    const x = images(2);
    for (const { mean, std } of [imageNetStatistics, { mean: [0.1, 0.2, 0.3], std: [1, 2, 4] }]) {
      const got = new Normalize({ mean, std }).apply(x);
      for (let channel = 0; channel < 3; channel++) {
        const want = x.select(1, channel).sub(mean[channel]!).div(std[channel]!);
        expect(largestDifference(got.select(1, channel), want)).toBeLessThan(1e-6);
      }
    }
  });

  it('Normalize scales, and turns RGB to BGR before the means, where it is told to', () => {
    const x = images(2);
    const got = new Normalize({ mean: [104, 117, 128], std: [1, 2, 4], scale: 255, channels: 'BGR' }).apply(
      x,
    );
    for (let channel = 0; channel < 3; channel++) {
      const want = x
        .select(1, 2 - channel)
        .mul(255)
        .sub([104, 117, 128][channel]!)
        .div([1, 2, 4][channel]!);
      expect(largestDifference(got.select(1, channel), want)).toBeLessThan(1e-4);
    }
  });

  const all: Record<string, BatchTransform> = {
    affine: new Affine({ size: 5, rotation: 10, fill: 1 }),
    jitter: new ColorJitter(),
    mix: new ColorMix(),
    grayscale: new Grayscale({ probability: 0.5 }),
    normalize: new Normalize(),
    'normalize BGR': new Normalize({ mean: [104, 117, 128], std: [1, 1, 1], scale: 255, channels: 'BGR' }),
    compose: new Compose([
      new Affine({ size: 5, rotation: 10, flip: 0.5 }),
      new ColorJitter(),
      new Normalize(),
    ]),
    nothing: new Compose([]),
  };
  it.each(Object.entries(all))(
    '%s leaves its input alone, repeats with the seed, and frees what it makes',
    (_, transform) => {
      const x = images();
      const before = x.clone();
      const first = transform.apply(x, new Random(3));
      const second = transform.apply(x, new Random(3));
      expect(largestDifference(first, second)).toBe(0);
      expect(largestDifference(x, before)).toBe(0);
      for (const result of [first, second]) if (result !== x) result.dispose();
      const live = liveTensors();
      const again = transform.apply(x, new Random(3));
      expect(liveTensors()).toBe(again === x ? live : live + 1);
    },
  );

  it('Compose applies in order, all drawing from one stream', () => {
    const x = images();
    const random = new Random(5);
    const [affine, jitter] = [new Affine({ size: 7, rotation: 20 }), new ColorJitter()];
    const want = jitter.apply(affine.apply(x, random), random);
    expect(largestDifference(new Compose([affine, jitter]).apply(x, new Random(5)), want)).toBe(0);
  });
});
