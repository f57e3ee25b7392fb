import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, liveTensors, ones, rand, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { type Erased, RandomErasing } from './random-erasing.js';

const size = { height: 24, width: 40 };

it('empties the rectangles that it draws, and nothing else', () => {
  using images = rand([200, 3, 24, 40], { generator: new Generator(1) }).add(1);
  const erasing = new RandomErasing();
  const before = liveTensors();
  using result = erasing.apply(images, new Random(2));
  expect(liveTensors()).toBe(before + 1);
  const random = new Random(2);
  const drawn = Array.from({ length: 200 }, () => erasing.draw(size, random));
  expect(Math.abs(drawn.filter((one) => one !== null).length - 100)).toBeLessThan(25);
  const wanted = images.toNumbers().map((value, place) => {
    const one = drawn[Math.floor(place / (3 * 24 * 40))];
    const [row, column] = [Math.floor(place / 40) % 24, place % 40];
    const isIn =
      one &&
      row >= one.top &&
      row < one.top + one.height &&
      column >= one.left &&
      column < one.left + one.width;
    return isIn ? 0 : value;
  });
  expect(result.toNumbers()).toEqual(wanted);
});

describeWithPython('random erasing against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it('rectangles are spread alike: area, shape, place, and how often there is none', () => {
    const count = 4000;
    const torchvision = runPython<(number[] | null)[]>(
      `
        import torch, torchvision
        torch.manual_seed(1)
        image = torch.ones(3, 24, 40)
        output = []
        for _ in range(${count}):
            i, j, h, w, v = torchvision.transforms.RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])
            output.append(None if v is image else [i, j, h, w])
      `,
      {},
    ).map((one) => one && { top: one[0]!, left: one[1]!, height: one[2]!, width: one[3]! });
    const random = new Random(3);
    const always = new RandomErasing({ probability: 1 });
    const own = Array.from({ length: count }, () => always.draw(size, random));
    const means = (all: (Erased | null)[]) => {
      const there = all.filter((one) => one !== null);
      const mean = (of: (one: Erased) => number) =>
        there.reduce((sum, one) => sum + of(one), 0) / there.length;
      return {
        none: (all.length - there.length) / all.length,
        area: mean(({ height, width }) => height * width) / 960,
        shape: mean(({ height, width }) => Math.log(height / width)),
        top: mean(({ top, height }) => top / (24 - height + 1)),
        left: mean(({ left, width }) => left / (40 - width + 1)),
      };
    };
    const [a, b] = [means(own), means(torchvision)];
    // Deviations of the means are 0.004 at most, but for the shape's 0.012.
    for (const name of ['none', 'area', 'shape', 'top', 'left'] as const)
      expect(Math.abs(a[name] - b[name]), `${name}: ${a[name]} and ${b[name]}`).toBeLessThan(
        name === 'shape' ? 0.06 : 0.025,
      );
  });
});

it('never empties a whole image, keeps those it does not draw, and refuses ranges that are none', () => {
  using white: Tensor = ones([4, 3, 1, 1]);
  using smallest = new RandomErasing({ probability: 1 }).apply(white, new Random(1));
  expect(smallest.sum().item()).toBe(12);
  expect(new RandomErasing({ probability: 0 }).apply(white, new Random(1))).toBe(white);
  expect(() => new RandomErasing({ area: [0.4, 0.3] })).toThrow(/positive range of area, got 0.4 to 0.3/);
  expect(() => new RandomErasing({ probability: 2 })).toThrow(/probability from 0 to 1, got 2/);
});
