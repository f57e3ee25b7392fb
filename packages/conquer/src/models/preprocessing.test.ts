import { Generator } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createModel } from './create-model.js';
import { preprocessingFor, shortSideFor } from './preprocessing.js';

const input = { size: 224, mean: [0.5, 0.5, 0.5], std: [0.1, 0.2, 0.3] } as const;
const format = { channels: 'RGB', scale: 1, mean: input.mean, std: input.std, interpolation: 'bilinear' };

it('is as the backbone says, of its size or another', () => {
  const backbone = { ...input, mean: [...input.mean], std: [...input.std] } as never;
  expect(preprocessingFor(backbone)).toEqual({ size: 224, resize: 256, reduction: null, input: format });
  expect(preprocessingFor({ ...input, cropShare: 1 } as never, { size: 64 })).toMatchObject({
    size: 64,
    resize: 64,
  });
  expect([shortSideFor(224), shortSideFor(32), shortSideFor(64, 0.5)]).toEqual([256, 37, 128]);
});

it('reduces images to what is cut out of, to a square where they are used whole', () => {
  const reducedBy = (reduced: 'square' | 'short side') =>
    preprocessingFor(input as never, { size: 32, resize: 40, reduced }).reduction;
  expect(reducedBy('square')).toEqual({ size: 40, square: true });
  expect(reducedBy('short side')).toEqual({ size: 40, square: false });
  const whole = { ...input, interpolation: 'bicubic', squash: true } as never;
  expect(preprocessingFor(whole, { resize: 40, reduced: 'short side' }).reduction).toEqual({
    ...{ size: 40, square: false, filter: 'bicubic', squash: true },
  });
});

it("is the model's, with the channels and numbers of its backbone", () => {
  const shape = { size: 28, channels: 'BGR', scale: 255, mean: [1, 2, 3], std: [1, 1, 1] } as const;
  using model = createModel(
    { name: 'small-resnet', widths: [4], input: { ...shape, mean: [1, 2, 3], std: [1, 1, 1] } },
    { generator: new Generator(1), reading: { size: 20 } },
  );
  expect(model.view).toEqual({
    size: 20,
    resize: 23,
    reduction: null,
    input: { ...format, channels: 'BGR', scale: 255, mean: [1, 2, 3], std: [1, 1, 1] },
  });
});
