import { describe, expect, it } from 'vitest';
import { native } from '../binding.js';
import {
  autocast,
  F,
  Generator,
  grad,
  nn,
  noGrad,
  numThreads,
  rand,
  randn,
  scope,
  setNumThreads,
  type Tensor,
} from '../index.js';

const generator = new Generator(1);

interface Shape {
  name: string;
  images?: number;
  side?: [number, number];
  from: number;
  to: number;
  kernel: number | [number, number];
  stride?: number | [number, number];
  padding?: number | [number, number];
  dilation?: number;
  groups?: number;
  bias?: boolean;
  affine?: boolean;
}

const shapes: Shape[] = [
  { name: '1x1', from: 64, to: 96, kernel: 1 },
  {
    name: '1x1 of more rows than are packed together',
    images: 5,
    side: [19, 21],
    from: 32,
    to: 64,
    kernel: 1,
  },
  { name: '1x1 by steps of 2', from: 96, to: 32, kernel: 1, stride: 2 },
  { name: '3x3', from: 32, to: 64, kernel: 3, padding: 1 },
  { name: '3x3 by steps, with a bias', from: 64, to: 32, kernel: 3, stride: 2, padding: 1, bias: true },
  { name: 'windows that are no squares', from: 32, to: 32, kernel: [1, 5], stride: [2, 1], padding: [0, 2] },
  { name: 'dilated', from: 32, to: 32, kernel: 3, padding: 2, dilation: 2 },
  { name: 'the first of a network', from: 3, to: 64, kernel: 7, stride: 2, padding: 3 },
  { name: 'in groups', from: 64, to: 64, kernel: 3, padding: 1, groups: 4, bias: true },
  { name: 'without weight and bias of the BatchNorm', from: 32, to: 32, kernel: 3, affine: false },
  { name: '1x1 with zeros around', from: 32, to: 64, kernel: 1, padding: 1 },
  { name: 'more zeros around than a kernel reaches', from: 32, to: 32, kernel: 3, padding: 4 },
  { name: 'few channels, and an even number', from: 6, to: 32, kernel: 3, padding: 1 },
  { name: 'one image of one pixel', images: 1, side: [1, 1], from: 32, to: 32, kernel: 1 },
];

function layers({
  from,
  to,
  kernel,
  stride = 1,
  padding = 0,
  dilation = 1,
  groups = 1,
  bias = false,
  affine = true,
}: Shape) {
  const convolution = new nn.Conv2d(from, to, kernel, { stride, padding, dilation, groups, bias, generator });
  const norm = new nn.BatchNorm2d(to, { frozen: true, affine });
  noGrad(() => {
    norm.runningMean.copy_(randn([to], { generator }).mul(0.1));
    norm.runningVar.copy_(rand([to], { generator }).add_(0.5));
    norm.bias?.copy_(randn([to], { generator }));
    norm.weight?.copy_(rand([to], { generator }).add_(0.5));
  });
  return { convolution, norm };
}

const rounded = (tensor: Tensor) => tensor.to('bfloat16').to('float64');
/** Length of the difference, in that of b. */
const apart = (a: Tensor, b: Tensor) =>
  scope(() => a.to('float64').sub(b).norm().item() / Math.max(1e-30, b.norm().item()));

/**
 * The same in double precision by operators, of numbers that are rounded where ours are: maps, folded weights, what is added to each
 * channel, and the sum of the shortcut's. The ReLU is that of `y`, for near 0 rounding decides.
 */
function exactly(
  x: Tensor,
  { convolution, norm }: ReturnType<typeof layers>,
  added: Tensor | null,
  y: Tensor,
  gradient: Tensor,
  relu: boolean,
) {
  return scope(() => {
    const wide = (tensor: Tensor | null) => tensor?.detach().to('float64').requiresGrad_() ?? null;
    const [maps, weight, bias, gamma, beta] = [
      x,
      convolution.weight,
      convolution.bias,
      norm.weight,
      norm.bias,
    ].map(wide);
    const root = norm.runningVar.to('float64').add(norm.eps).rsqrt();
    const scale = gamma?.mul(root) ?? root;
    const centre = bias?.sub(norm.runningMean.to('float64')) ?? norm.runningMean.to('float64').neg();
    const shift = centre.mul(scale).add(beta ?? 0);
    const folded = weight!.mul(scale.view([-1, 1, 1, 1]));
    // The value is the rounded one's, the gradient the other's.
    const straight = (tensor: Tensor) => tensor.add(rounded(tensor).sub(tensor).detach());
    const sum = F.conv2d(straight(maps!), straight(folded), straight(shift), convolution.options);
    const rows = added === null ? sum : sum.add(added.to('float64'));
    const positive = relu ? y.gt(0).to('float64') : y.mul(0).add(1).to('float64');
    const wanted = [maps, weight, bias, gamma, beta].filter((each) => each != null) as Tensor[];
    const gradients = grad(rows, wanted, [gradient.to('float64').mul(positive)]);
    return { rows: relu ? rows.relu() : rows, gradients };
  });
}

describe.skipIf(!native.trainsInBfloat16())('convolutions in bfloat16 on this processor', () => {
  const cases = shapes.flatMap((shape) =>
    [
      { relu: false, adds: false },
      { relu: true, adds: false },
      { relu: true, adds: true },
    ].map(
      (around) =>
        [
          `${shape.name}${around.relu ? ', ReLU' : ''}${around.adds ? ', a shortcut' : ''}`,
          shape,
          around,
        ] as const,
    ),
  );

  it.each(cases)('have the maps and gradients of the operators: %s', (_, shape, { relu, adds }) => {
    const { images = 3, side = [9, 10], from } = shape;
    const { convolution, norm } = layers(shape);
    scope(() => {
      const x = randn([images, from, ...side], { generator })
        .to('bfloat16')
        .requiresGrad_();
      const like = autocast('cpu', 'bfloat16', () => nn.convBatchNorm(x, convolution, norm));
      const added = adds ? randn(like.shape, { generator }).to('bfloat16').requiresGrad_() : null;
      const y = autocast('cpu', 'bfloat16', () =>
        nn.convBatchNorm(x, convolution, norm, { added, activation: relu ? 'relu' : null }),
      );
      expect(y.dtype).toBe('bfloat16');
      const gradient = randn(y.shape, { generator }).to('bfloat16');
      const wanted = [x, convolution.weight, convolution.bias, norm.weight, norm.bias].filter(
        (each) => each !== null,
      );
      const got = grad(y, [...wanted, ...(added === null ? [] : [added])], [gradient]);
      const exact = exactly(x, { convolution, norm }, added, y, gradient, relu);
      expect(apart(y, exact.rows)).toBeLessThan(4e-3);
      expect(got[0]!.dtype).toBe('bfloat16');
      // Sums in float32, but where libtorch makes them: of groups.
      const weights = shape.groups === undefined ? 1e-5 : 5e-3;
      for (const [i, each] of exact.gradients.entries())
        expect(apart(got[i]!, each), `gradient ${i}`).toBeLessThan(i === 0 ? 5e-3 : weights);
      if (added === null) return;
      const masked = gradient.to('float64').mul(y.gt(0).to('float64'));
      expect(apart(got.at(-1)!, masked)).toBe(0);
    });
  });

  it('are Conv2d in training, whose statistics move', () => {
    const convolution = new nn.Conv2d(32, 64, 3, { padding: 1, generator });
    scope(() => {
      const x = randn([2, 32, 6, 6], { generator });
      const y = autocast('cpu', 'bfloat16', () => convolution.forward(x));
      const [of] = grad(y.to('float32').square().sum(), [convolution.weight]);
      const [whole] = grad(convolution.forward(x).square().sum(), [convolution.weight]);
      expect(y.dtype).toBe('bfloat16');
      expect(apart(of!, whole!.to('float64'))).toBeLessThan(2e-2);
    });
  });

  it.each([[[7, 64]], [[2, 5, 3, 64]], [[64]]])('are linear layers in training: %j', (shape) => {
    const layer = new nn.Linear(64, 96, { generator });
    scope(() => {
      const x = randn(shape, { generator }).requiresGrad_();
      const y = autocast('cpu', 'bfloat16', () => layer.forward(x));
      const gradient = randn(y.shape, { generator }).to('bfloat16');
      const got = grad(y, [x, layer.weight, layer.bias!], [gradient]);
      const wide = [x, layer.weight, layer.bias!].map((each) => each.detach().to('float64').requiresGrad_());
      const straight = (tensor: Tensor) => tensor.add(rounded(tensor).sub(tensor).detach());
      const exact = F.linear(straight(wide[0]!), straight(wide[1]!), wide[2]!);
      const wanted = grad(exact, wide, [gradient.to('float64')]);
      expect(y.dtype).toBe('bfloat16');
      expect(apart(y, exact)).toBeLessThan(4e-3);
      for (const [i, each] of wanted.entries())
        expect(apart(got[i]!, each)).toBeLessThan(i === 0 ? 5e-3 : 1e-5);
    });
  });

  it('have the same bits at each call, and on other numbers of threads the same to rounding', () => {
    const { convolution, norm } = layers({ name: '', from: 64, to: 32, kernel: 3, padding: 1 });
    const x = randn([40, 64, 12, 12], { generator });
    const before = numThreads();
    const of = (threads: number) => {
      setNumThreads(threads);
      return scope(() => {
        const y = autocast('cpu', 'bfloat16', () =>
          nn.convBatchNorm(x, convolution, norm, { activation: 'relu' }),
        );
        return grad(y.to('float32').sum(), [convolution.weight, norm.weight!]);
      });
    };
    try {
      const two = of(2);
      expect(of(2).map((each) => each.toNumbers())).toEqual(two.map((each) => each.toNumbers()));
      for (const threads of [1, 3, 7]) {
        const others = of(threads);
        for (const [i, each] of others.entries())
          expect(apart(each, two[i]!.to('float64'))).toBeLessThan(1e-5);
      }
    } finally {
      setNumThreads(before);
    }
  });

  it.each(shapes.map((shape) => [shape.name, shape] as const))(
    'give what is kept for inference: %s',
    (_, shape) => {
      const { images = 3, side = [9, 10], from } = shape;
      const { convolution, norm } = layers(shape);
      const both = new nn.Sequential(convolution, norm).eval();
      scope(() => {
        const x = randn([images, from, ...side], { generator });
        const run = (options: nn.ConvBatchNormOptions) =>
          noGrad(() => autocast('cpu', 'bfloat16', () => nn.convBatchNorm(x, convolution, norm, options)));
        const added = randn(run({}).shape, { generator });
        for (const options of [
          {},
          { activation: 'relu' },
          { activation: 'relu', added: added.to('bfloat16') },
          { added },
        ] as const) {
          const once = run(options);
          const keeper = both.keepDerived();
          const kept = [run(options), run(options)];
          keeper[Symbol.dispose]();
          expect(kept[0]!.dtype).toBe(once.dtype);
          expect(kept[1]!.toNumbers()).toEqual(kept[0]!.toNumbers());
          // Folded in float32 by both.
          expect(apart(kept[0]!, once.to('float64'))).toBeLessThan(1e-3);
        }
      });
    },
  );

  it('keep NaN, and leave out of backward what has no gradient', () => {
    const { convolution, norm } = layers({ name: '', from: 32, to: 32, kernel: 1 });
    scope(() => {
      const spoilt = randn([1, 32, 2, 2], { generator });
      noGrad(() => spoilt.select(1, 3).fill_(Number.NaN));
      const y = autocast('cpu', 'bfloat16', () =>
        nn.convBatchNorm(spoilt, convolution, norm, { activation: 'relu' }),
      );
      expect(y.toNumbers().every(Number.isNaN)).toBe(true);
      convolution.weight.requiresGrad_(false);
      const x = randn([1, 32, 2, 2], { generator }).requiresGrad_();
      const rows = autocast('cpu', 'bfloat16', () => nn.convBatchNorm(x, convolution, norm));
      const [of] = grad(rows.to('float32').sum(), [x]);
      expect(of!.dtype).toBe('float32');
      norm.weight!.requiresGrad_(false);
      norm.bias!.requiresGrad_(false);
      const without = autocast('cpu', 'bfloat16', () => nn.convBatchNorm(spoilt, convolution, norm));
      expect(without.requiresGrad).toBe(false);
    });
  });
});
