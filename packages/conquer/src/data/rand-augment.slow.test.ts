import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, liveTensors, rand, randint, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { applyRandAugment, RandAugment, type RandAugmentDraw, randAugmentOperators } from './rand-augment.js';

const SIZE = { height: 17, width: 23 };

/** Of bytes; the last is of one colour, and the one before it of few. */
const bytes = (batch: number, seed = 1): Tensor =>
  scope(() => {
    const shape = [batch, 3, SIZE.height, SIZE.width];
    const images = randint(0, 256, shape, { generator: new Generator(seed) }).to('float32');
    images.select(0, batch - 1).fill_(77);
    images.select(0, batch - 2).copy_(
      images
        .select(0, batch - 2)
        .div(100)
        .floor()
        .mul(100),
    );
    return images;
  });

describeWithPython('RandAugment against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it('its operators give the same pixels, at every strength and sign', () => {
    scope(() => {
      const strengths = [0, 3, 9, 17, 30];
      const draws: RandAugmentDraw[] = strengths.flatMap((magnitude) =>
        randAugmentOperators.flatMap((name) =>
          [1, -1].map((sign) => {
            const random = {
              int: (n: number) => (n === 2 ? (sign === 1 ? 0 : 1) : randAugmentOperators.indexOf(name)),
            };
            return new RandAugment({ numOps: 1, magnitude }).draw(SIZE, random as unknown as Random);
          }),
        ),
      );
      const images = bytes(5);
      const { pixels, values } = runPython<{ pixels: Tensor; values: number[] }>(
        `
          import torch
          from torchvision.transforms import autoaugment, InterpolationMode
          names = ['Identity', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'Rotate', 'Brightness', 'Color',
                   'Contrast', 'Sharpness', 'Posterize', 'Solarize', 'AutoContrast', 'Equalize']
          images = input['images'].to(torch.uint8)
          space = autoaugment.RandAugment()._augmentation_space(31, images.shape[-2:])
          assert list(space) == names
          values, pixels = [], []
          for magnitude in input['strengths']:
              for name in names:
                  magnitudes, signed = space[name]
                  for sign in [1, -1]:
                      value = float(magnitudes[magnitude].item()) if magnitudes.ndim > 0 else 0.0
                      value *= sign if signed else 1
                      values.append(value)
                      pixels.append(torch.stack([
                          autoaugment._apply_op(image, name, value, interpolation=InterpolationMode.NEAREST, fill=None)
                          for image in images]).float())
          output = {'pixels': torch.stack(pixels), 'values': values}
        `,
        { images, strengths },
      );
      for (const [i, draw] of draws.entries()) {
        const { name, value } = draw[0]!;
        expect(Math.abs(value - values[i]!), `${name}: its number`).toBeLessThan(1e-5);
        const same = { name, value: values[i]! };
        const got = applyRandAugment(
          images,
          Array.from({ length: 5 }, () => [same]),
        );
        const gaps = got.sub(pixels.select(0, i)).abs();
        expect(gaps.max().item(), `${name} by ${values[i]}`).toBe(0);
      }
    });
  });

  it('one after the other, drawn for each image, as torchvision does image by image', () => {
    scope(() => {
      const images = bytes(40, 2);
      const random = new Random(3);
      const augment = new RandAugment({ numOps: 3, magnitude: 12 });
      const draws = Array.from({ length: 40 }, () => augment.draw(SIZE, random));
      expect(new Set(draws.flat().map(({ name }) => name)).size).toBe(14);
      const wanted = runPython<Tensor>(
        `
          import torch
          from torchvision.transforms import autoaugment, InterpolationMode
          names = {name[0].lower() + name[1:]: name for name in
                   autoaugment.RandAugment()._augmentation_space(31, (17, 23))}
          def augmented(image, draw):
              for step in draw:
                  image = autoaugment._apply_op(image, names[step['name']], step['value'],
                                                interpolation=InterpolationMode.NEAREST, fill=None)
              return image
          images = input['images'].to(torch.uint8)
          output = torch.stack([augmented(i, d) for i, d in zip(images, input['draws'])]).float()
        `,
        { images, draws },
      );
      // The mean of an image is added up in another order in a batch: fractions are cut off on either side of a step.
      const gaps = applyRandAugment(images, draws).sub(wanted).abs();
      expect(gaps.max().item()).toBeLessThanOrEqual(1);
      expect(gaps.mean().item()).toBeLessThan(0.002);
      // The whole, of images in [0, 1].
      const whole = augment.apply(images.div(255), new Random(3)).mul(255).round();
      expect(whole.sub(wanted).abs().mean().item()).toBeLessThan(0.002);
    });
  });
});

describe('RandAugment', () => {
  it('leaves images and their number of tensors as they were, and repeats with its Random', () => {
    using images = rand([6, 3, 16, 16], { generator: new Generator(4) });
    using copy = images.clone();
    const before = liveTensors();
    const [a, b] = [5, 5].map((seed) => new RandAugment({}).apply(images, new Random(seed))) as [
      Tensor,
      Tensor,
    ];
    expect(liveTensors()).toBe(before + 2);
    expect(a.tolist()).toEqual(b.tolist());
    expect(images.tolist()).toEqual(copy.tolist());
    expect(a.amin([0, 1, 2, 3]).item()).toBeGreaterThanOrEqual(0);
    expect(a.amax([0, 1, 2, 3]).item()).toBeLessThanOrEqual(1);
  });

  it('draws each operator as often, and both signs', () => {
    const random = new Random(6);
    const draws = Array.from({ length: 7000 }, () =>
      new RandAugment({ numOps: 2 }).draw(SIZE, random),
    ).flat();
    for (const name of randAugmentOperators) {
      const values = draws.flatMap((draw) => (draw.name === name ? [draw.value] : []));
      expect(Math.abs(values.length - 1000), name).toBeLessThan(150);
      const isSigned = !['identity', 'posterize', 'solarize', 'autoContrast', 'equalize'].includes(name);
      const below = values.filter((value) => value < 0).length;
      expect(Math.abs(below / values.length - (isSigned ? 0.5 : 0)), name).toBeLessThan(0.08);
    }
  });

  it('refuses a strength that is none of the bins', () => {
    expect(() => new RandAugment({ magnitude: 31 })).toThrow(
      /magnitude: expected one below numMagnitudeBins, 31, got 31/,
    );
  });
});
