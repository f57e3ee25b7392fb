import { UserError } from '@conquer-dml/run';
import { Generator, noGrad, randn, scope } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { createModel, modelNameOf } from '../create-model.js';

const sides = [...Array.from({ length: 36 }, (_, i) => i + 1), 49, 63, 64, 65, 100];

describe('small-resnet', () => {
  it.each(['average', 'strided'] as const)('takes images of every side, also oblong ones: %s', (shortcut) => {
    const generator = new Generator(1);
    using model = createModel(
      { name: 'small-resnet', widths: [4, 8, 8, 12], shortcut },
      { embeddingDim: 6, dropout: 0, frozenBatchNorm: true, generator },
    );
    using plain = createModel(
      { name: 'small-resnet', widths: [4, 8, 8, 12], shortcut },
      { embeddingDim: 6, dropout: 0, frozenBatchNorm: true },
    ).to({ dtype: 'float64' }); // which has no blocked layout
    plain.loadStateDict(model.stateDict());
    for (const side of sides)
      for (const width of [side, side + 1]) {
        model.train();
        scope(() => {
          const images = randn([2, 3, side, width], { generator });
          const embeddings = model.embed(images);
          embeddings.square().sum().backward();
          const others = plain.embed(images.to('float64'));
          const difference = embeddings.detach().to('float64').sub(others.detach()).abs().max().item();
          expect([side, width, difference < 1e-5]).toEqual([side, width, true]);
        });
        model.eval();
        expect(
          scope(() =>
            noGrad(() => model.embed(randn([1, 3, side, width])))
              .isfinite()
              .sum()
              .item(),
          ),
        ).toBe(6);
      }
  });

  it('averages what is there where the last window of a shortcut has fewer pixels', () => {
    // One block, which the identity of its convolutions leaves alone: the sum of both is the shortcut's.
    using model = createModel({ name: 'small-resnet', widths: [1, 1], stem: { stride: 1, kernelSize: 1 } });
    const state = model.stateDict();
    noGrad(() => {
      for (const [name, value] of state) if (value.ndim === 4) value.fill_(name.includes('layer') ? 0 : 1);
      state.get('layer2.0.downsample.0.weight')?.fill_(1);
    });
    model.eval();
    using images = randn([1, 3, 5, 5]).abs();
    const pixels = scope(() => images.sum(1).toNumbers());
    using maps = noGrad(() => model.backbone.features(images));
    expect(maps.shape).toEqual([1, 1, 3, 3]);
    const at = maps.toNumbers();
    const pixel = (y: number, x: number) => pixels[5 * y + x]!;
    expect(at[8]).toBeCloseTo(pixel(4, 4), 3);
    expect(at[2]).toBeCloseTo((pixel(0, 4) + pixel(1, 4)) / 2, 3);
    expect(at[0]).toBeCloseTo((pixel(0, 0) + pixel(0, 1) + pixel(1, 0) + pixel(1, 1)) / 4, 3);
  });
});

const refused: [string, [number, number], RegExp][] = [
  ['alexnet', [62, 224], /^alexnet: expected images of at least 63 pixels a side, got 62×224$/],
  ['vgg11bn', [30, 30], /^vgg11bn: expected images of at least 32 pixels a side, got 30×30$/],
  ['bn-inception', [30, 30], /^bn-inception: expected images of at least 31 pixels a side, got 30×30$/],
  [
    'bn-inception',
    [64, 62],
    /^bn-inception: expected images of 38 or 63 pixels, the nearest that it takes, got 64×62$/,
  ],
];
it.each(refused)(
  '%s refuses what would vanish on the way, %o, in words',
  (arch, [height, width], message) => {
    using model = createModel(modelNameOf(arch), { embeddingDim: 4 });
    using images = randn([2, 3, height, width]);
    expect(() => model.embed(images)).toThrow(message);
    expect(() => model.embed(images)).toThrow(UserError);
    expect(() => model.features(images)).toThrow(message);
  },
);

it('what are no images is refused in words', () => {
  using model = createModel('small-resnet', { embeddingDim: 4 });
  using grey = randn([2, 1, 32, 32]);
  expect(() => model.embed(grey)).toThrow(
    /^small-resnet: expected images \(B, 3, H, W\), got the shape \[2, 1, 32, 32\]$/,
  );
});
