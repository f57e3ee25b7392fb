import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { beforeAll, expect, it } from 'vitest';
import { type DType, Generator, nn, ones, randn, type Tensor } from '../index.js';

interface Case {
  /** A Python expression of the same layer. */
  python: string;
  layer(dtype: DType): nn.Layer;
  shape: number[];
  evaluate?: boolean;
}

const cases: Record<string, Case> = {
  Linear: {
    python: 'nn.Linear(7, 5)',
    layer: (dtype) => new nn.Linear(7, 5, { dtype }),
    shape: [4, 7],
  },
  LayerNorm: {
    python: 'nn.LayerNorm((3, 7), eps=0.01)',
    layer: (dtype) => new nn.LayerNorm([3, 7], { eps: 0.01, dtype }),
    shape: [2, 3, 7],
  },
  'Linear without bias': {
    python: 'nn.Linear(7, 5, bias=False)',
    layer: (dtype) => new nn.Linear(7, 5, { bias: false, dtype }),
    shape: [2, 3, 7],
  },
  Conv2d: {
    python: 'nn.Conv2d(3, 8, 3)',
    layer: (dtype) => new nn.Conv2d(3, 8, 3, { dtype }),
    shape: [2, 3, 9, 8],
  },
  'Conv2d with every option': {
    python: 'nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False)',
    layer: (dtype) =>
      new nn.Conv2d(4, 6, [3, 2], {
        stride: [2, 1],
        padding: [1, 2],
        dilation: [1, 2],
        groups: 2,
        bias: false,
        dtype,
      }),
    shape: [2, 4, 9, 8],
  },
  BatchNorm2d: {
    python: 'nn.BatchNorm2d(5)',
    layer: (dtype) => new nn.BatchNorm2d(5, { dtype }),
    shape: [3, 5, 4, 4],
  },
  'BatchNorm2d with options': {
    python: 'nn.BatchNorm2d(5, eps=1e-2, momentum=0.3, affine=False)',
    layer: (dtype) => new nn.BatchNorm2d(5, { eps: 1e-2, momentum: 0.3, affine: false, dtype }),
    shape: [3, 5, 4, 4],
  },
  'BatchNorm2d with cumulative statistics': {
    python: 'nn.BatchNorm2d(5, momentum=None)',
    layer: (dtype) => new nn.BatchNorm2d(5, { momentum: null, dtype }),
    shape: [3, 5, 4, 4],
  },
  'BatchNorm2d in evaluation': {
    python: 'nn.BatchNorm2d(5).eval()',
    layer: (dtype) => new nn.BatchNorm2d(5, { dtype }),
    shape: [3, 5, 4, 4],
    evaluate: true,
  },
  'BatchNorm2d frozen, in training': {
    // As the paper's code: the layer is put into evaluation, its parameters still learn.
    python: 'nn.BatchNorm2d(5).eval()',
    layer: (dtype) => new nn.BatchNorm2d(5, { frozen: true, dtype }),
    shape: [3, 5, 4, 4],
  },
  ReLU: { python: 'nn.ReLU()', layer: () => new nn.ReLU(), shape: [2, 3, 4] },
  MaxPool2d: {
    python: 'nn.MaxPool2d(3, stride=2, padding=1)',
    layer: () => new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
    shape: [2, 3, 9, 8],
  },
  'MaxPool2d with defaults, reaching over the border': {
    python: 'nn.MaxPool2d((3, 2), ceil_mode=True)',
    layer: () => new nn.MaxPool2d([3, 2], { ceilMode: true }),
    shape: [2, 3, 10, 7],
  },
  AdaptiveAvgPool2d: {
    python: 'nn.AdaptiveAvgPool2d((1, 1))',
    layer: () => new nn.AdaptiveAvgPool2d(1),
    shape: [2, 3, 7, 5],
  },
  'AdaptiveAvgPool2d to a grid': {
    python: 'nn.AdaptiveAvgPool2d((3, 2))',
    layer: () => new nn.AdaptiveAvgPool2d([3, 2]),
    shape: [2, 3, 7, 5],
  },
  AdaptiveMaxPool2d: {
    python: 'nn.AdaptiveMaxPool2d((3, 2))',
    layer: () => new nn.AdaptiveMaxPool2d([3, 2]),
    shape: [2, 3, 7, 5],
  },
  'Dropout in evaluation': {
    python: 'nn.Dropout(0.4).eval()',
    layer: () => new nn.Dropout(0.4),
    shape: [4, 6],
    evaluate: true,
  },
  Identity: { python: 'nn.Identity()', layer: () => new nn.Identity(), shape: [4] },
  Sequential: {
    python: 'nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Identity(), nn.MaxPool2d(2))',
    layer: (dtype) =>
      new nn.Sequential(
        new nn.Conv2d(3, 4, 3, { dtype }),
        new nn.BatchNorm2d(4, { dtype }),
        new nn.ReLU({ inplace: true }),
        new nn.Identity(),
        new nn.MaxPool2d(2),
      ),
    shape: [2, 3, 9, 8],
  },
};

interface Peer {
  outputs: Tensor[];
  inputGradient: Tensor;
  gradients: Record<string, Tensor>;
  state: Record<string, Tensor>;
}

/** Both sides run the same libtorch with the same numbers; only its threading can reorder sums. */
const tolerance: Partial<Record<DType, number>> = { float64: 1e-13, float32: 2e-6 };

function expectClose(actual: Tensor, expected: Tensor, what: string): void {
  expect(actual.shape, what).toEqual(expected.shape);
  const [a, b] = [actual.toNumbers(), expected.toNumbers()];
  const scale = b.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
  const error = a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] as number))), 0);
  expect(error / scale, what).toBeLessThan(tolerance[expected.dtype] ?? 1e-30);
}

describeWithPython('layers against PyTorch', ['torch', 'numpy'], () => {
  const dtypes = ['float64', 'float32'] as const;
  const dropped = randn([40, 7], { generator: new Generator(2) });
  let expected: { peers: Peer[]; dropout: Tensor; dropPath: Tensor };

  const generator = new Generator(1);
  const runs = dtypes.flatMap((dtype) =>
    Object.entries(cases).map(([name, { python, layer: make, shape, evaluate }]) => {
      const layer = make(dtype);
      // Fresh batch norms have trivial parameters and statistics: give them others.
      for (const [, tensor] of [...layer.namedParameters(), ...layer.namedBuffers()]) {
        if (tensor.dtype === dtype) nn.init.uniform_(tensor, 0.2, 1.2, { generator });
      }
      const state = Object.fromEntries([...layer.stateDict()].map(([key, tensor]) => [key, tensor.clone()]));
      const inputs = [0, 1].map(() => randn(shape, { generator, dtype }));
      return { name, dtype, python, layer: evaluate ? layer.eval() : layer, state, inputs };
    }),
  );

  beforeAll(() => {
    expected = runPython(
      `
        import torch
        from torch import nn

        def run(python, state, inputs):
            layer = eval(python).to(inputs[0].dtype)
            layer.load_state_dict(state)
            outputs = []
            for x in inputs:
                x.requires_grad_()
                y = layer(x)
                (y * y.detach().sin()).sum().backward()
                outputs.append(y)
            return {
                'outputs': outputs,
                'inputGradient': x.grad,
                'gradients': {name: p.grad for name, p in layer.named_parameters()},
                'state': layer.state_dict(),
            }

        torch.manual_seed(5)
        dropout = nn.functional.dropout(input['dropped'], 0.3)
        # Stochastic depth as defined: one draw of a Bernoulli variable for each image.
        torch.manual_seed(6)
        dropPath = input['dropped'] * torch.empty(40, 1).bernoulli_(0.7).div_(0.7)
        output = {'peers': [run(**case) for case in input['runs']], 'dropout': dropout, 'dropPath': dropPath}
      `,
      { dropped, runs: runs.map(({ python, state, inputs }) => ({ python, state, inputs })) },
    );
  }, 60_000);

  for (const tested of dtypes) {
    it(`give the same outputs, gradients and statistics in ${tested}, within ${tolerance[tested]}`, () => {
      for (const [index, { name, dtype, layer, inputs }] of runs.entries()) {
        if (dtype !== tested) continue;
        const peer = expected.peers[index] as Peer;
        for (const [i, x] of inputs.entries()) {
          x.requiresGrad_();
          const y = layer.forward(x);
          y.mul(y.detach().sin()).sum().backward();
          expectClose(y, peer.outputs[i] as Tensor, `${name}: output ${i}`);
        }
        expectClose(inputs[1]?.grad as Tensor, peer.inputGradient, `${name}: gradient of the input`);
        expect([...layer.namedParameters()].map(([key]) => key)).toEqual(Object.keys(peer.gradients));
        for (const [key, parameter] of layer.namedParameters()) {
          expectClose(parameter.grad as Tensor, peer.gradients[key] as Tensor, `${name}: gradient of ${key}`);
        }
        expect([...layer.stateDict().keys()]).toEqual(Object.keys(peer.state));
        for (const [key, tensor] of layer.stateDict()) {
          expectClose(tensor, peer.state[key] as Tensor, `${name}: ${key} afterwards`);
        }
      }
    });
  }

  it('dropout draws the same mask from the same seed', () => {
    const dropout = new nn.Dropout(0.3, { generator: new Generator(5) });
    expect(dropout.forward(dropped).toTypedArray()).toEqual(expected.dropout.toTypedArray());
  });

  it('drop path draws the same images from the same seed', () => {
    const dropPath = new nn.DropPath(0.3, { generator: new Generator(6) });
    expect(dropPath.forward(dropped).toTypedArray()).toEqual(expected.dropPath.toTypedArray());
  });
});

it('drop path keeps the mean, takes whole images, and does nothing outside of training', () => {
  const layer = new nn.DropPath(0.25, { generator: new Generator(7) });
  const images = ones([4000, 2, 3]);
  const kept = layer.forward(images).view([4000, 6]);
  expect(Math.abs(kept.mean().item() - 1)).toBeLessThan(0.03);
  expect(kept.amax(1).sub(kept.amin(1)).abs().max().item()).toBe(0);
  expect(layer.eval().forward(images)).toBe(images);
  expect(() => new nn.DropPath(1)).toThrow(/from 0 to below 1, got 1/);
  expect(nn.dropPathRates(0.2, 5)).toEqual([0, 0.05, 0.1, 0.15000000000000002, 0.2]);
});
