import { expect, it } from 'vitest';
import {
  autocast,
  type DType,
  enableGrad,
  liveTensors,
  nn,
  noGrad,
  rand,
  randn,
  recordOperators,
  scope,
  type Tensor,
} from '../index.js';

/** Convolutions with and without BatchNorm, and a linear layer with an adapter that has learnt something. */
class Network extends nn.Module {
  readonly conv1 = new nn.Conv2d(3, 8, 3);
  readonly bn1 = new nn.BatchNorm2d(8);
  readonly conv2 = new nn.Conv2d(8, 8, 3);
  readonly fc = new nn.Linear(8, 6);

  constructor() {
    super();
    this.fc.adapter = new nn.LowRank(this.fc, { rank: 2, alpha: 3 });
    scope(() =>
      noGrad(() => {
        for (const [, tensor] of this.stateDict())
          if (tensor.ndim > 0) tensor.copy_(rand(tensor.shape).add(0.1));
      }),
    );
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const maps = this.conv2.forward(nn.convBatchNorm(x, this.conv1, this.bn1));
      return this.fc.forward(maps.mean([2, 3]));
    });
  }
}

/** Mean and largest difference of a network from what it gives where nothing is kept. */
function distance(network: Network, x: Tensor, precision: DType | null = null): number {
  return scope(() => {
    const run = () =>
      noGrad(() => (precision ? autocast('cpu', precision, () => network.forward(x)) : network.forward(x)));
    const kept = run().to('float64');
    // With gradients nothing kept is used.
    const fresh = enableGrad(() =>
      precision ? autocast('cpu', precision, () => network.forward(x)) : network.forward(x),
    );
    return (
      kept.sub(fresh.detach().to('float64')).abs().max().item() /
      fresh.detach().to('float64').abs().max().item()
    );
  });
}

const changes: Readonly<Record<string, (network: Network) => void>> = {
  'a weight that is changed in place': ({ conv1 }) => noGrad(() => conv1.weight.mul_(2)),
  'statistics that are changed in place': ({ bn1 }) => noGrad(() => bn1.runningVar.mul_(2)),
  'a view of a weight': ({ fc }) => noGrad(() => fc.weight.narrow(0, 0, 1).fill_(3)),
  'what an adapter learns': ({ fc }) => noGrad(() => (fc.adapter as nn.LowRank).loraB.add_(1)),
  'another tensor in the place of one': (network) => {
    network.conv1.weight.dispose();
    network.conv1.weight = nn.parameter(rand([8, 3, 3, 3]));
  },
  'a state dict': (network) => {
    using other = new Network();
    network.loadStateDict(other.stateDict());
  },
  'an adapter that goes': ({ fc }) => {
    fc.adapter = null;
  },
  'a step of training': (network) => {
    network.train();
    scope(() =>
      network
        .forward(randn([4, 3, 9, 9]))
        .sum()
        .backward(),
    );
    network.eval();
  },
  'statistics that training moves while train() is not asked for': ({ bn1 }) => {
    bn1.training = true;
    scope(() => bn1.forward(randn([4, 8, 5, 5]).mul(9)));
    bn1.training = false;
  },
  'a dtype, there and back': (network) => {
    network.to({ dtype: 'bfloat16' });
    network.to({ dtype: 'float32' });
  },
};

it.each(Object.entries(changes))('sees %s', (_, change) => {
  using network = new Network();
  network.eval();
  using x = randn([2, 3, 9, 9]);
  using __ = network.keepDerived();
  expect(distance(network, x)).toBeLessThan(1e-6);
  const before = noGrad(() => network.forward(x)).tolist();
  change(network);
  expect(noGrad(() => network.forward(x)).tolist()).not.toEqual(before);
  expect(distance(network, x)).toBeLessThan(1e-6);
});

it('takes turns between precisions, and casts once', () => {
  using network = new Network();
  network.eval();
  using x = randn([2, 3, 9, 9]);
  using _ = network.keepDerived();
  for (const precision of [null, 'bfloat16', null, 'bfloat16'] as const)
    expect(distance(network, x, precision)).toBeLessThan(precision === null ? 1e-6 : 0.03);
  const cast = network.conv2.cast.kept;
  expect(cast?.dtype).toBe('bfloat16');
  expect(network.fc.ready.kept?.weight.dtype).toBe('bfloat16');
  distance(network, x, 'bfloat16');
  expect(network.conv2.cast.kept).toBe(cast);
});

it('is kept until the last that asked for it ends, once each, and not in training', () => {
  using network = new Network();
  network.eval();
  using x = randn([2, 3, 9, 9]);
  const run = () => noGrad(() => network.forward(x)).dispose();
  const live = liveTensors();
  const outer = network.keepDerived();
  {
    using _ = network.keepDerived();
    run();
  }
  const kept = network.bn1.folded.kept;
  expect(kept).not.toBeNull();
  for (let i = 0; i < 200; i++) run();
  expect(network.bn1.folded.kept).toBe(kept);
  expect(liveTensors()).toBe(live + 2 + 2);
  network.train();
  expect(liveTensors()).toBe(live);
  network.eval();
  run();
  expect(liveTensors()).toBe(live + 4);
  const other = network.keepDerived();
  outer[Symbol.dispose]();
  outer[Symbol.dispose]();
  run();
  expect(liveTensors()).toBe(live + 4);
  other[Symbol.dispose]();
  expect(liveTensors()).toBe(live);
});

it('is freed with the module, and no part of a recording', () => {
  const live = liveTensors();
  const network = new Network();
  network.eval();
  network.keepDerived();
  using x = randn([2, 3, 9, 9]);
  noGrad(() => network.forward(x)).dispose();
  const operators: string[] = [];
  recordOperators(
    ({ operator }) => void operators.push(operator),
    () => noGrad(() => network.forward(x)).dispose(),
  );
  expect(operators).toContain('rsqrt');
  network.dispose();
  expect(liveTensors()).toBe(live + 1);
});
