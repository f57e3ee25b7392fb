import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { full, keepFreedMemory, numThreads, ones, setFlushDenormal, setNumThreads } from './index.js';

it('denormals are flushed in operators, gradients and every thread, and never in JavaScript', () => {
  const threads = numThreads();
  const able = setFlushDenormal(true);
  try {
    if (!able) return;
    setNumThreads(2);
    const tiny = 1e-39; // below float32's smallest normal number, 1.2e-38
    // Large enough that libtorch shares it out among its threads.
    const product = full([1 << 18], 1e-30).mul(1e-9);
    expect(product.ne(0).sum().item()).toBe(0);
    const x = ones([1]).requiresGrad_();
    x.mul(1e-30).mul(1e-9).backward();
    expect(x.grad?.item()).toBe(0);
    expect(Number.MIN_VALUE / 1).toBe(5e-324);
    expect(2 ** -1074).toBeGreaterThan(0);
    setFlushDenormal(false);
    expect(full([1], 1e-30).mul(1e-9).item()).toBeCloseTo(tiny, 44);
  } finally {
    setNumThreads(threads);
    setFlushDenormal(false);
  }
});

it('says whether freed memory can be kept', () => {
  expect(keepFreedMemory()).toBe(process.platform === 'linux');
});

it.runIf(process.platform === 'linux')(
  'the memory of a large tensor waits for the next one of its size',
  () => {
    const pages = (48 << 20) / 4096;
    const make = () => full([12 << 20], 1).dispose();
    make();
    const before = process.resourceUsage().minorPageFault;
    for (let i = 0; i < 5; i++) make();
    expect(process.resourceUsage().minorPageFault - before).toBeLessThan(pages / 2);
    // Nor is it taken by one that needs more, or lost to one that comes meanwhile.
    using small = full([12 << 20], 2);
    using large = full([13 << 20], 3);
    expect([small.sum().item(), large.sum().item()]).toEqual([2 * (12 << 20), 3 * (13 << 20)]);
  },
);

it('waiting threads sleep, set before libtorch loads, unless the environment says otherwise', () => {
  const program = `await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}).then(({ torchVersion }) => torchVersion()); console.log(process.env.OMP_WAIT_POLICY)`;
  const policy = (given: Record<string, string>) => {
    const { OMP_WAIT_POLICY: _, ...env } = process.env;
    const args = ['--input-type=module', '-e', program];
    return execFileSync(process.execPath, args, { env: { ...env, ...given }, encoding: 'utf8' }).trim();
  };
  expect(policy({})).toBe('passive');
  expect(policy({ OMP_WAIT_POLICY: 'active' })).toBe('active');
});
