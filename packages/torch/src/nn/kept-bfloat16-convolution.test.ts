import { describe, expect, it } from 'vitest';
import { native } from '../binding.js';
import { aten, autocast, F, Generator, nn, noGrad, rand, randn, scope, type Tensor } from '../index.js';

const generator = new Generator(2);

interface Shape {
  name: string;
  side?: [number, number];
  from: number;
  to: number;
  kernel: number | [number, number];
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  zeros?: { top: number; bottom: number; left: number; right: number };
}

const below = { top: 0, bottom: 1, left: 0, right: 1 };
const around = { top: 1, bottom: 2, left: 2, right: 2 };
const shapes: Shape[] = [
  { name: '1x1 of few channels', from: 24, to: 40, kernel: 1 },
  { name: '1x1 of two', from: 2, to: 3, kernel: 1 },
  { name: '1x1 to more than one panel', from: 40, to: 72, kernel: 1 },
  { name: '3x3 by steps', from: 6, to: 33, kernel: 3, stride: 2, padding: 1 },
  { name: '3x3 with zeros below and right', from: 32, to: 48, kernel: 3, stride: 2, zeros: below },
  { name: 'dilated', from: 4, to: 8, kernel: 3, dilation: 2, padding: 1 },
  { name: 'an image with zeros below and right', from: 3, to: 32, kernel: 3, stride: 2, zeros: below },
  { name: 'an image', from: 3, to: 64, kernel: 7, stride: 2, padding: 3 },
  { name: 'each channel, 3x3', from: 32, to: 32, kernel: 3, padding: 1, groups: 32 },
  { name: 'each channel, 3x3 by steps', from: 24, to: 24, kernel: 3, stride: 2, zeros: below, groups: 24 },
  { name: 'each channel, 5x5', from: 72, to: 72, kernel: 5, padding: 2, groups: 72 },
  { name: 'each channel, 5x5 by steps', from: 40, to: 40, kernel: 5, stride: 2, zeros: around, groups: 40 },
  {
    name: 'each channel of a map below the kernel',
    side: [2, 1],
    from: 16,
    to: 16,
    kernel: 3,
    padding: 1,
    groups: 16,
  },
  { name: 'each of an odd number', from: 7, to: 7, kernel: 3, padding: 1, groups: 7 },
  { name: 'each channel, windows that are no squares', from: 8, to: 8, kernel: [1, 3], groups: 8 },
  { name: 'in groups', from: 12, to: 8, kernel: 3, padding: 1, groups: 2 },
];

function layers({ from, to, kernel, stride = 1, padding = 0, dilation = 1, groups = 1 }: Shape) {
  const convolution = new nn.Conv2d(from, to, kernel, {
    stride,
    padding,
    dilation,
    groups,
    bias: false,
    generator,
  });
  const norm = new nn.BatchNorm2d(to);
  noGrad(() => {
    norm.runningMean.copy_(randn([to], { generator }).mul(0.1));
    norm.runningVar.copy_(rand([to], { generator }).add_(0.5));
    norm.bias?.copy_(randn([to], { generator }));
    norm.weight?.copy_(rand([to], { generator }).add_(0.5));
  });
  return { convolution, norm, both: new nn.Sequential(convolution, norm).eval() };
}

const apart = (a: Tensor, b: Tensor) =>
  scope(() => a.to('float64').sub(b).norm().item() / Math.max(1e-30, b.norm().item()));

describe.skipIf(!native.trainsInBfloat16())('kept convolutions in bfloat16', () => {
  it.each(shapes.map((shape) => [shape.name, shape] as const))(
    'have the maps of float64, rounded: %s',
    (_, shape) => {
      const { side = [9, 11], from, zeros = null } = shape;
      const { convolution, norm, both } = layers(shape);
      using _keeper = both.keepDerived();
      scope(() => {
        const x = randn([3, from, ...side], { generator }).to('bfloat16');
        const run = (options: nn.ConvBatchNormOptions) =>
          noGrad(() =>
            autocast('cpu', 'bfloat16', () => nn.convBatchNorm(x, convolution, norm, { zeros, ...options })),
          );
        const { top, bottom, left, right } = zeros ?? { top: 0, bottom: 0, left: 0, right: 0 };
        const wide = aten.constant_pad_nd(x.to('float64'), [left, right, top, bottom]);
        const maps = F.conv2d(wide, convolution.weight.to('float64'), null, convolution.options);
        const per = (numbers: Tensor) => numbers.to('float64').view([1, -1, 1, 1]);
        const root = per(norm.runningVar).add(norm.eps).rsqrt();
        const sum = maps.sub(per(norm.runningMean)).mul(root).mul(per(norm.weight!)).add(per(norm.bias!));
        const added = randn(sum.shape, { generator }).to('bfloat16');
        for (const activation of [null, 'relu', 'relu6'] as const) {
          for (const more of [null, added]) {
            const y = run({ activation, added: more });
            const whole = more === null ? sum : sum.add(more.to('float64'));
            const limited =
              activation === null ? whole : aten.clamp(whole, 0, activation === 'relu' ? null : 6);
            expect(y.dtype).toBe('bfloat16');
            expect(y.shape).toEqual(sum.shape);
            expect(apart(y, limited), `${activation} ${more !== null}`).toBeLessThan(5e-3);
            expect(run({ activation, added: more }).toNumbers()).toEqual(y.toNumbers());
          }
        }
        // A sum with float32 is float32.
        const single = run({ activation: 'relu6', added: added.to('float32') });
        expect(single.dtype).toBe('float32');
        expect(apart(single, aten.clamp(sum.add(added.to('float64')), 0, 6))).toBeLessThan(5e-3);
      });
    },
  );

  it.each(shapes.map((shape) => [shape.name, shape] as const))(
    'keep NaN where a window sees it: %s',
    (_, shape) => {
      const { side = [9, 11], from, zeros = null } = shape;
      const { convolution, norm, both } = layers(shape);
      using _keeper = both.keepDerived();
      scope(() => {
        const x = randn([1, from, ...side], { generator });
        const run = () =>
          noGrad(() =>
            autocast('cpu', 'bfloat16', () =>
              nn.convBatchNorm(x, convolution, norm, { zeros, activation: 'relu6' }),
            ),
          );
        expect(run().toNumbers().some(Number.isNaN)).toBe(false);
        x.fill_(Number.NaN);
        const spoilt = run().toNumbers();
        expect(spoilt.every(Number.isNaN)).toBe(true);
      });
    },
  );
});
