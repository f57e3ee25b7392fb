import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { describe, expect, it } from 'vitest';
import { native } from './binding.js';
import {
  autocast,
  autocastDtype,
  F,
  Generator,
  nn,
  noGrad,
  type OperatorCall,
  randn,
  recordOperators,
  scope,
  type Tensor,
} from './index.js';

/** A convolution and BatchNorm, pooled, a LayerNorm and a linear layer: what networks are made of. */
class Network extends nn.Module {
  readonly conv: nn.Conv2d;
  readonly bn: nn.BatchNorm2d;
  readonly ln = new nn.LayerNorm(8);
  readonly fc: nn.Linear;

  constructor(frozen: boolean) {
    super();
    const generator = new Generator(1);
    this.conv = new nn.Conv2d(4, 8, 3, { padding: 1, generator });
    this.bn = new nn.BatchNorm2d(8, { frozen });
    this.fc = new nn.Linear(8, 6, { generator });
    noGrad(() => {
      this.bn.runningMean.copy_(randn([8], { generator }).mul(0.1));
      this.bn.runningVar.copy_(randn([8], { generator }).square().add(0.5));
    });
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const maps = nn.inBlockedLayout(x, (each) => nn.convBatchNorm(each, this.conv, this.bn).relu_());
      return this.fc.forward(this.ln.forward(maps.mean([2, 3])));
    });
  }
}

const images = () => randn([5, 4, 9, 9], { generator: new Generator(2) });
const weights = () => randn([5, 6], { generator: new Generator(3) });
/** Length of the difference, in that of b. */
const apart = (a: Tensor, b: Tensor) => scope(() => a.sub(b).norm().item() / b.norm().item());

describeWithPython("autocast on a CPU, beside PyTorch's", ['torch'], () => {
  it.each([false, true])('gives its rows, gradients and statistics (frozen BatchNorm: %s)', (frozen) => {
    using network = new Network(frozen);
    using x = images();
    using weight = weights();
    const state = Object.fromEntries(network.stateDict());
    type Result = Record<'rows' | 'mean' | 'var', Tensor> & { gradients: Record<string, Tensor> };
    const { half, whole } = runPython<Record<'half' | 'whole', Result>>(
      `
        import torch
        from torch import nn
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.bn = nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8)
                self.ln, self.fc = nn.LayerNorm(8), nn.Linear(8, 6)
            def forward(self, x):
                # LayerNorm in float32, as on a card: PyTorch 1.13's CPU takes no two dtypes.
                return self.fc(self.ln(torch.relu(self.bn(self.conv(x))).mean((2, 3)).float()))
        def run(enabled):
            network = Network()
            network.load_state_dict({k: v.clone() for k, v in input['state'].items()})
            if input['frozen']: network.bn.eval()
            with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
                rows = network(input['x'])
            rows = rows.float()
            (rows * input['weight']).sum().backward()
            return {'rows': rows, 'mean': network.bn.running_mean, 'var': network.bn.running_var,
                    'gradients': {k: p.grad for k, p in network.named_parameters()}}
        output = {'half': run(True), 'whole': run(False)}
      `,
      { state, frozen, x, weight },
    );
    const rows = autocast('cpu', 'bfloat16', () => network.forward(x));
    expect(rows.dtype).toBe('bfloat16');
    rows.to('float32').mul(weight).sum().backward();
    /** As near to single precision as PyTorch, whose rounding comes in another order. */
    const isAsNear = (name: string, ours: Tensor, theirs: Tensor, exact: Tensor) => {
      expect(ours.dtype, name).toBe('float32');
      expect(apart(ours, exact), name).toBeLessThan(2 * apart(theirs, exact) + 2e-3);
    };
    isAsNear('rows', rows.to('float32'), half.rows, whole.rows);
    isAsNear('mean', network.bn.runningMean, half.mean, whole.mean);
    isAsNear('var', network.bn.runningVar, half.var, whole.var);
    // A bias in front of a BatchNorm has no gradient but what rounding leaves.
    for (const [name, { grad }] of network.namedParameters())
      if (frozen || name !== 'conv.bias')
        isAsNear(name, grad as Tensor, half.gradients[name] as Tensor, whole.gradients[name] as Tensor);
    expect(apart(rows.to('float32'), whole.rows)).toBeGreaterThan(1e-4);
  });
});

describe('autocast', () => {
  it('has a dtype of its device, which a convolution gives its weight, channels_last', () => {
    using network = new Network(true);
    expect(autocastDtype('cpu')).toBeNull();
    autocast('cpu', 'bfloat16', () => {
      expect(autocastDtype('cpu')).toBe('bfloat16');
      expect(autocastDtype('cuda:0')).toBeNull();
      scope(() => {
        const maps = network.conv.forward(images());
        expect(maps.dtype).toBe('bfloat16');
        expect(maps.strides).toEqual([8 * 81, 1, 9 * 8, 8]);
      });
    });
    expect(network.conv.weight.dtype).toBe('float32');
    expect(network.conv.weight.strides).toEqual([36, 9, 3, 1]);
  });

  it('keeps folded convolutions cast, where it is kept between batches', () => {
    using network = new Network(true).eval();
    using x = images();
    const rows = () => noGrad(() => autocast('cpu', 'bfloat16', () => network.forward(x)));
    using apartly = rows();
    using _ = network.keepDerived();
    using kept = rows();
    using again = rows();
    expect(again.toNumbers()).toEqual(kept.toNumbers());
    // By kernels of our own, where there are any, rounded fewer times.
    const apart = scope(() => kept.to('float64').sub(apartly.to('float64')).norm().item());
    expect(apart).toBeLessThan(1e-2 * apartly.to('float64').norm().item());
    expect(network.bn.folded.kept?.weight.dtype).toBe(native.trainsInBfloat16() ? 'int32' : 'bfloat16');
  });

  it('leaves float64, and what is recorded, as they are', () => {
    using network = new Network(true);
    const calls: OperatorCall[] = [];
    scope(() => {
      const x = images();
      recordOperators(
        (call) => void calls.push(call),
        () => autocast('cpu', 'bfloat16', () => expect(network.forward(x).dtype).toBe('float32')),
      );
      expect(calls.map(({ operator }) => operator)).not.toContain('to.dtype');
      network.to({ dtype: 'float64' });
      const wide = x.to('float64');
      expect(autocast('cpu', 'bfloat16', () => network.forward(wide)).dtype).toBe('float64');
      expect(F.layerNorm(wide, [9]).dtype).toBe('float64');
    });
  });
});
