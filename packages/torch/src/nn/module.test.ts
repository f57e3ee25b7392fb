import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { describe, expect, it } from 'vitest';
import { liveTensors, nn, ones, scope, type Tensor, tensor, zeros } from '../index.js';

class Block extends nn.Module {
  readonly scale: Tensor;
  readonly conv1: nn.Conv2d;
  readonly runningCount = nn.buffer(zeros([2]));
  readonly cache = nn.buffer(zeros([1]), { persistent: false });
  readonly plain = zeros([3]);
  readonly lastLinear: nn.Linear | null;

  constructor(linear: nn.Linear | null) {
    super();
    this.lastLinear = linear;
    this.conv1 = new nn.Conv2d(1, 2, 1, { bias: false });
    this.scale = nn.parameter(ones([2]));
  }

  forward(x: Tensor): Tensor {
    return x;
  }
}

class Net extends nn.Module {
  readonly layer1: nn.Sequential;
  readonly heads: nn.Linear[];
  readonly masks = [nn.parameter(ones([2])), nn.parameter(ones([2]))];
  readonly shared: nn.Linear;
  readonly bn1 = new nn.BatchNorm2d(2);

  constructor() {
    super();
    this.shared = new nn.Linear(2, 3);
    this.layer1 = new nn.Sequential(new Block(null), new Block(this.shared));
    this.heads = [new nn.Linear(1, 1, { bias: false }), new nn.Linear(1, 2)];
  }
}

const names = [
  'layer1.0.scale',
  'layer1.0.running_count',
  'layer1.0.conv1.weight',
  'layer1.1.scale',
  'layer1.1.running_count',
  'layer1.1.conv1.weight',
  'layer1.1.last_linear.weight',
  'layer1.1.last_linear.bias',
  'heads.0.weight',
  'heads.1.weight',
  'heads.1.bias',
  'bn1.weight',
  'bn1.bias',
  'bn1.running_mean',
  'bn1.running_var',
  'bn1.num_batches_tracked',
];
const allNames = ['masks.0', 'masks.1', ...names];

describe('Module', () => {
  it('finds tensors in declaration order under dotted PyTorch names, shared ones once', () => {
    const net = new Net();
    expect([...net.stateDict().keys()]).toEqual(allNames);
    const buffers = [...net.namedBuffers()].map(([name]) => name);
    expect(buffers).toContain('layer1.0.cache');
    const parameters = [...net.namedParameters()].map(([name]) => name);
    expect([...parameters, ...buffers].sort()).toEqual(
      [...allNames, 'layer1.0.cache', 'layer1.1.cache'].sort(),
    );
    expect(net.parameters().every((parameter) => parameter.requiresGrad)).toBe(true);
  });

  it('switches between training and evaluation everywhere', () => {
    const net = new Net();
    expect(net.eval()).toBe(net);
    expect([...net.namedModules()].every(([, module]) => !module.training)).toBe(true);
    net.train();
    expect(net.heads[1]?.training).toBe(true);
    expect([...net.namedModules()].map(([name]) => name)).toContain('layer1.1.last_linear');
  });

  it('outlives the scope it was made in, and frees everything on dispose', () => {
    const before = liveTensors();
    const layer = scope(() => {
      const made = new nn.Sequential(new nn.Linear(2, 2), new nn.BatchNorm2d(2));
      return { made };
    }).made;
    expect(liveTensors()).toBe(before + 7);
    expect(layer.parameters().every((parameter) => !parameter.disposed)).toBe(true);
    layer.dispose();
    expect(liveTensors()).toBe(before);
  });

  it('converts dtypes in place, gradients too, and leaves counters alone', () => {
    const layer = new nn.Sequential(new nn.Linear(2, 2), new nn.BatchNorm2d(2));
    const [weight] = layer.parameters() as [Tensor];
    const values = weight.tolist();
    weight.grad = ones([2, 2]);
    const live = liveTensors();
    expect(layer.to({ dtype: 'float64' })).toBe(layer);
    expect(liveTensors()).toBe(live);
    expect(weight.dtype).toBe('float64');
    expect(weight.tolist()).toEqual(values);
    expect(weight.grad?.dtype).toBe('float64');
    expect(layer.stateDict().get('1.num_batches_tracked')?.dtype).toBe('int64');
    (layer.at(0) as nn.Linear)
      .forward(ones([1, 2], { dtype: 'float64' }))
      .sum()
      .backward();
    expect(weight.grad?.tolist()).toEqual([
      [2, 2],
      [2, 2],
    ]);
    layer.zeroGrad();
    expect(weight.grad).toBeNull();
    layer.requiresGrad_(false);
    expect(weight.requiresGrad).toBe(false);
  });

  it('moves batch statistics in training, and never when frozen', () => {
    const x = tensor([1, 2, 3, 4, 5, 6, 7, 8]).reshape([2, 2, 2, 1]);
    const frozen = new nn.BatchNorm2d(2, { frozen: true });
    frozen.forward(x).square().sum().backward();
    expect([frozen.runningMean.tolist(), frozen.numBatchesTracked.item()]).toEqual([[0, 0], 0]);
    expect(frozen.weight?.grad?.tolist()).not.toEqual([0, 0]);
    const trained = new nn.BatchNorm2d(2);
    trained.forward(x);
    expect(trained.numBatchesTracked.item()).toBe(1);
    expect(trained.runningMean.tolist()).not.toEqual([0, 0]);
    expect(() => trained.forward(ones([2, 2]))).toThrow('expected images (B, C, H, W), got shape [2, 2]');
  });
});

describe('loadStateDict', () => {
  const source = () => {
    const state = new Map([...new Net().stateDict()].map(([name, t]) => [name, t.clone()]));
    for (const t of state.values()) t.fill_(7);
    return state;
  };
  const untouched = (net: Net) => net.bn1.runningVar.tolist();

  it('copies every number, converting dtypes', () => {
    const net = new Net();
    const state = source();
    state.set('heads.1.bias', tensor([1, 2], { dtype: 'float64' }));
    expect(net.loadStateDict(state)).toEqual({ missing: [], unexpected: [] });
    expect(net.heads[1]?.bias?.tolist()).toEqual([1, 2]);
    expect(net.heads[1]?.bias?.dtype).toBe('float32');
    expect(net.bn1.numBatchesTracked.item()).toBe(7);
    expect(net.layer1.at(1)?.stateDict().get('last_linear.weight')?.tolist()).toEqual([
      [7, 7],
      [7, 7],
      [7, 7],
    ]);
  });

  it('lists all that does not fit in one error, and loads nothing', () => {
    const net = new Net();
    const state = source();
    state.delete('heads.0.weight');
    state.delete('masks.1');
    state.set('extra.weight', ones([1]));
    state.set('layer1.0.scale', ones([3]));
    expect(() => net.loadStateDict(state)).toThrow(
      'The state dict does not fit Net, nothing was loaded: missing 2 (masks.1, heads.0.weight); ' +
        'unexpected 1 (extra.weight); wrong shape 1 (layer1.0.scale: expected [2], got [3])',
    );
    expect(untouched(net)).toEqual([1, 1]);
  });

  it('lets missing and unexpected keys pass when not strict, never a wrong shape', () => {
    const net = new Net();
    const state = source();
    state.delete('heads.0.weight');
    state.set('extra.weight', ones([1]));
    expect(net.loadStateDict(state, { strict: false })).toEqual({
      missing: ['heads.0.weight'],
      unexpected: ['extra.weight'],
    });
    expect(untouched(net)).toEqual([7, 7]);
    state.set('masks.0', ones([1]));
    expect(() => net.loadStateDict(state, { strict: false })).toThrow('masks.0: expected [2], got [1]');
  });

  it('takes files without num_batches_tracked, as PyTorch does', () => {
    const net = new Net();
    net.bn1.numBatchesTracked.fill_(5);
    const state = source();
    state.delete('bn1.num_batches_tracked');
    net.loadStateDict(state);
    expect(net.bn1.numBatchesTracked.item()).toBe(0);
  });
});

describeWithPython('state dict names against PyTorch', ['torch'], () => {
  it('are the same, in the same order', () => {
    const expected = runPython<string[]>(`
      import torch
      from torch import nn

      class Block(nn.Module):
          def __init__(self, linear):
              super().__init__()
              self.scale = nn.Parameter(torch.ones(2))
              self.conv1 = nn.Conv2d(1, 2, 1, bias=False)
              self.register_buffer('running_count', torch.zeros(2))
              self.register_buffer('cache', torch.zeros(1), persistent=False)
              self.last_linear = linear

      class Net(nn.Module):
          def __init__(self):
              super().__init__()
              self.layer1 = nn.Sequential(Block(None), Block(nn.Linear(2, 3)))
              self.heads = nn.ModuleList([nn.Linear(1, 1, bias=False), nn.Linear(1, 2)])
              self.bn1 = nn.BatchNorm2d(2)

      output = list(Net().state_dict())
    `);
    expect(expected).toEqual(names);
  });
});
