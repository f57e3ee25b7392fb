import { expect, it } from 'vitest';
import {
  autocast,
  Checkpoints,
  checkpoint,
  F,
  Generator,
  liveTensors,
  nn,
  randn,
  scope,
  type Tensor,
} from './index.js';

class Block extends nn.Module {
  readonly conv: nn.Conv2d;
  readonly bn = new nn.BatchNorm2d(4);
  readonly drop: nn.DropPath;
  runs = 0;

  constructor(generator: Generator, dropout: Generator) {
    super();
    this.conv = new nn.Conv2d(4, 4, 3, { padding: 1, generator });
    this.drop = new nn.DropPath(0.4, { generator: dropout });
  }

  forward(x: Tensor): Tensor {
    this.runs++;
    return scope(() => F.relu(this.drop.forward(this.bn.forward(this.conv.forward(x))).add(x)));
  }
}

class Network extends nn.Module {
  readonly dropout = new Generator(5);
  readonly stem: nn.Conv2d;
  readonly blocks: Block[];
  readonly head: nn.Linear;

  constructor() {
    super();
    const generator = new Generator(1);
    this.stem = new nn.Conv2d(3, 4, 1, { generator });
    this.blocks = Array.from({ length: 3 }, () => new Block(generator, this.dropout));
    this.head = new nn.Linear(4, 2, { generator });
  }

  forward(images: Tensor): Tensor {
    return scope(() => {
      let x = this.stem.forward(images);
      for (const block of this.blocks) x = checkpoint([block], (each) => block.forward(each), x);
      return this.head.forward(x.mean([2, 3]));
    });
  }
}

/** Rows, gradients, statistics and where the dropout stands, of two batches. */
function outcome(network: Network, kept: boolean, dtype: 'float32' | 'float64' = 'float64') {
  network.to({ dtype });
  return scope(() => {
    const found: unknown[] = [];
    for (let batch = 0; batch < 2; batch++) {
      const images = randn([6, 3, 5, 5], { generator: new Generator(2 + batch) }).to(dtype);
      const checkpoints = kept ? null : new Checkpoints([network.dropout]);
      const forward = () => network.forward(images);
      const rows = checkpoints === null ? forward() : checkpoints.forward(forward);
      const total = rows.mul(randn(rows.shape, { generator: new Generator(9) }).to(dtype)).sum();
      if (checkpoints === null) total.backward();
      else checkpoints.backward(total);
      found.push(rows.tolist());
    }
    found.push(network.parameters().map(({ grad }) => (grad as Tensor).tolist()));
    found.push([...network.stateDict()].map(([name, value]) => [name, value.tolist()]));
    found.push([...network.dropout.state()]);
    return found;
  });
}

it('gives the gradients, statistics and draws of a pass that keeps all, to the bit', () => {
  using whole = new Network();
  using checkpointed = new Network();
  const found = outcome(checkpointed, false);
  expect(found).toEqual(outcome(whole, true));
  expect(whole.blocks.map(({ runs }) => runs)).toEqual([2, 2, 2]);
  expect(checkpointed.blocks.map(({ runs }) => runs)).toEqual([4, 4, 4]);
});

it('does not compute again what learns nothing, and only runs outside of Checkpoints', () => {
  using network = new Network();
  network.stem.requiresGrad_(false);
  network.blocks[0]!.requiresGrad_(false);
  network.to({ dtype: 'float64' });
  scope(() => {
    const images = randn([4, 3, 5, 5], { dtype: 'float64' });
    const checkpoints = new Checkpoints([network.dropout]);
    const rows = checkpoints.forward(() => network.forward(images));
    expect(checkpoints.count).toBe(2);
    checkpoints.backward(rows.sum());
  });
  expect(network.blocks.map(({ runs }) => runs)).toEqual([1, 2, 2]);
  expect(network.blocks[0]!.conv.weight.grad).toBeNull();
  expect(network.stem.weight.grad).toBeNull();
});

it('leaves no tensor behind, with or without its way back, and computes again as autocast did', () => {
  using network = new Network();
  const images = randn([4, 3, 5, 5]);
  const run = (back: boolean) =>
    scope(() => {
      const checkpoints = new Checkpoints([network.dropout]);
      const rows = checkpoints.forward(() => autocast('cpu', 'bfloat16', () => network.forward(images)));
      if (back) checkpoints.backward(rows.to('float32').sum());
      network.zeroGrad();
      return rows.dtype;
    });
  const before = liveTensors();
  expect(run(true)).toBe('bfloat16');
  run(false);
  expect(liveTensors()).toBe(before);
});
