import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { cat, liveTensors, nn, noGrad, optim, randn, scope, tensor } from './index.js';

const megabyte = 2 ** 20;

/** Resident memory of this process in MB. */
function resident(): number {
  return process.memoryUsage.rss() / megabyte;
}

it('10,000 operators leave the live count and resident memory where they were', () => {
  // 256 KB a tensor: if they stayed, 10,000 would take 2.5 GB.
  const x = randn([256, 256]);
  const work = (operators: number) => {
    for (let done = 0; done < operators; done += 10) {
      scope(() => {
        const y = x.mul(0.5).add(1).sub(x).div(3).relu();
        y.add_(1).mul_(y);
        return cat([y.t(), y], 0).sum();
      }).dispose();
    }
  };
  work(500); // the allocator and the compiled operators settle
  const [live, memory] = [liveTensors(), resident()];
  work(10_000);
  expect(liveTensors()).toBe(live);
  expect(resident() - memory).toBeLessThan(40);
});

it('training steps leave both where they were', () => {
  const model = new nn.Sequential(
    new nn.Conv2d(3, 16, 3, { padding: 1 }),
    new nn.BatchNorm2d(16),
    new nn.ReLU({ inplace: true }),
    new nn.AdaptiveAvgPool2d(1),
  );
  const optimizer = new optim.AdamW([{ params: model.parameters() }]);
  const x = randn([4, 3, 64, 64]); // activations of 1 MB each
  const work = (steps: number) => {
    for (let i = 0; i < steps; i++) {
      scope(() => {
        model.forward(x).square().mean().backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
  };
  work(20);
  const [live, memory] = [liveTensors(), resident()];
  work(150);
  expect(liveTensors()).toBe(live);
  expect(resident() - memory).toBeLessThan(40);
});

it('Sequential frees activations on the way, outside a scope too', () => {
  const layers = Array.from({ length: 5 }, () => new nn.ReLU());
  const model = new nn.Sequential(...layers, new nn.Identity(), new nn.Dropout(0.5)).eval();
  const x = tensor([-1, 2]);
  const live = liveTensors();
  const y = noGrad(() => model.forward(x));
  expect(liveTensors()).toBe(live + 1);
  expect([x.disposed, y.tolist()]).toEqual([false, [0, 2]]);
});

it('garbage that nobody disposed is freed in the end', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const live = liveTensors();
  (() => {
    for (let i = 0; i < 100; i++) tensor([i]);
  })();
  expect(liveTensors()).toBe(live + 100);
  for (let i = 0; i < 20 && liveTensors() > live; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(liveTensors()).toBeLessThanOrEqual(live); // older garbage goes too
});
