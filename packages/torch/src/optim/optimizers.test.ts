import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { expect, it } from 'vitest';
import { type DType, Generator, liveTensors, optim, randn, type Tensor, zeros } from '../index.js';

type AnyOptimizer = Pick<
  optim.Optimizer<optim.BaseOptions>,
  'step' | 'zeroGrad' | 'stateDict' | 'groups' | 'dispose'
>;

interface Case {
  /** A Python expression; `p` is the list of parameters. */
  python: string;
  optimizer(params: Tensor[]): AnyOptimizer;
}

const cases: Record<string, Case> = {
  Adam: {
    python: 'optim.Adam(p)',
    optimizer: (params) => new optim.Adam([{ params }]),
  },
  'Adam with options and groups': {
    python: `optim.Adam([{'params': p[:1], 'lr': 0.1, 'weight_decay': 0.02}, {'params': p[1:]}],
                         lr=0.03, betas=(0.7, 0.95), eps=1e-6)`,
    optimizer: ([first, ...rest]) =>
      new optim.Adam([{ params: [first as Tensor], lr: 0.1, weightDecay: 0.02 }, { params: rest }], {
        lr: 0.03,
        betas: [0.7, 0.95],
        eps: 1e-6,
      }),
  },
  AdamW: {
    python: 'optim.AdamW(p)',
    optimizer: (params) => new optim.AdamW([{ params }]),
  },
  'AdamW with options': {
    python: 'optim.AdamW(p, lr=0.05, betas=(0.8, 0.99), eps=1e-7, weight_decay=0.3)',
    optimizer: (params) =>
      new optim.AdamW([{ params }], { lr: 0.05, betas: [0.8, 0.99], eps: 1e-7, weightDecay: 0.3 }),
  },
  SGD: {
    python: 'optim.SGD(p, lr=0.1)',
    optimizer: (params) => new optim.SGD([{ params }], { lr: 0.1 }),
  },
  'SGD with weight decay': {
    python: 'optim.SGD(p, lr=0.1, weight_decay=0.05)',
    optimizer: (params) => new optim.SGD([{ params }], { lr: 0.1, weightDecay: 0.05 }),
  },
  'SGD with momentum and dampening': {
    python: 'optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3)',
    optimizer: (params) => new optim.SGD([{ params }], { lr: 0.1, momentum: 0.9, dampening: 0.3 }),
  },
  'SGD with Nesterov momentum': {
    python: 'optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)',
    optimizer: (params) =>
      new optim.SGD([{ params }], { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.05 }),
  },
};

const steps = 20;
const shapes = [[4, 3], [5], [2, 3, 2, 2]];

/** Gradients for every step; the second parameter has none at some steps, the first step among them. */
function gradientsFor(dtype: DType): (Tensor | null)[][] {
  const generator = new Generator(3);
  return Array.from({ length: steps }, (_, step) =>
    shapes.map((shape, i) => (i === 1 && step % 4 === 0 ? null : randn(shape, { generator, dtype }))),
  );
}

/**
 * The bits are PyTorch 1.13's on every libtorch. PyTorch 2.x has Adam's first moment by lerp, which rounds otherwise (1.2e-7 of a
 * weight in float32 after 20 steps), and the same SGD.
 */
const sameBits = (name: string, torch: string) => torch.startsWith('1.') || name.startsWith('SGD');

describeWithPython('optimizers against PyTorch', ['torch', 'numpy'], () => {
  it(`give the same bits after each of ${steps} steps, in float64 and float32`, () => {
    const inputs = (['float64', 'float32'] as const).map((dtype) => {
      const generator = new Generator(4);
      const initial = shapes.map((shape) => randn(shape, { generator, dtype }));
      return { dtype, initial, gradients: gradientsFor(dtype) };
    });
    const { version, runs: expected } = runPython<{
      version: string;
      runs: { steps: Tensor[][]; state: Record<string, Tensor>[] }[][];
    }>(
      `
        import torch
        from torch import optim

        def run(python, initial, gradients):
            p = [t.clone().requires_grad_() for t in initial]
            optimizer = eval(python)
            after = []
            for grads in gradients:
                for param, grad in zip(p, grads):
                    param.grad = None if grad is None else grad.clone()
                optimizer.step()
                after.append([t.detach().clone() for t in p])
            return {'steps': after, 'state': [
                {key: value for key, value in optimizer.state[t].items() if key != 'step' and value is not None}
                for t in p]}

        output = {'version': torch.__version__, 'runs': [
            [run(python, i['initial'], i['gradients']) for python in input['cases']] for i in input['inputs']]}
      `,
      { cases: Object.values(cases).map(({ python }) => python), inputs },
    );
    const compare = (own: Tensor | undefined, wanted: Tensor | undefined, name: string, what: string) => {
      const [numbers, others] = [own, wanted].map((tensor) => tensor?.toTypedArray() as Float64Array);
      if (sameBits(name, version)) return expect(numbers, what).toEqual(others);
      const close = wanted?.dtype === 'float32' ? 1e-6 : 1e-14;
      const far = numbers!.map((x, at) => Math.abs(x - others![at]!) - close * (1 + Math.abs(x)));
      expect(Math.max(...far), what).toBeLessThan(0);
    };
    for (const [i, { dtype, initial, gradients }] of inputs.entries()) {
      for (const [index, [name, { optimizer: make }]] of Object.entries(cases).entries()) {
        const peer = expected[i]?.[index];
        const params = initial.map((tensor) => tensor.clone().requiresGrad_());
        const optimizer = make(params);
        for (const [step, grads] of gradients.entries()) {
          for (const [j, param] of params.entries()) param.grad = grads[j] as Tensor | null;
          optimizer.step();
          for (const [j, param] of params.entries())
            compare(param, peer?.steps[step]?.[j], name, `${name} in ${dtype}: ${j} after step ${step}`);
        }
        const { tensors, groups } = optimizer.stateDict();
        const positions = groups.flatMap((group) => group.steps.map((_, j) => `${group.name}.${j}`));
        for (const [j, state] of (peer?.state ?? []).entries()) {
          for (const [key, value] of Object.entries(state)) {
            const own = tensors.get(`${positions[j]}.${key}`);
            compare(own, value, name, `${name} in ${dtype}: ${key} of ${j}`);
          }
        }
      }
      // The gradients are only read.
      expect(gradients[0]?.[0]?.toTypedArray()).toEqual(gradientsFor(dtype)[0]?.[0]?.toTypedArray());
    }
  });
});

it('a step leaves no tensors behind but its state, and removing a group frees it', () => {
  const before = liveTensors();
  const params = shapes.map((shape) => zeros(shape, { requiresGrad: true }));
  const grads = shapes.map((shape) => zeros(shape));
  for (const [i, param] of params.entries()) param.grad = grads[i] as Tensor;
  for (const grad of grads) grad.dispose();
  const [first, ...rest] = params as [Tensor, ...Tensor[]];
  const optimizer = new optim.AdamW([
    { name: 'head', params: [first] },
    { name: 'backbone', params: rest },
  ]);
  for (let i = 0; i < 3; i++) optimizer.step();
  expect(liveTensors()).toBe(before + 3 * params.length);
  optimizer.removeGroup('head');
  expect(optimizer.groups.map(({ name }) => name)).toEqual(['backbone']);
  expect(liveTensors()).toBe(before + 3 * params.length - 2);
  expect(first.disposed).toBe(false);
  optimizer.dispose();
  expect(liveTensors()).toBe(before + params.length);
});
