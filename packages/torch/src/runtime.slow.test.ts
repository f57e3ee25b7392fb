import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';

/** What a program prints that imports the package, with other variables in its environment. */
function printed(program: string, given: Record<string, string> = {}): string {
  const { OMP_WAIT_POLICY: _, OMP_NUM_THREADS: __, ...env } = process.env;
  const dist = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
  const args = ['--input-type=module', '-e', `const torch = await import(${dist}); ${program}`];
  return execFileSync(process.execPath, args, { env: { ...env, ...given }, encoding: 'utf8' }).trim();
}

describe('in a program that only imports the package', () => {
  it('an operator has one thread a core, or OMP_NUM_THREADS, or what the program says', () => {
    const cores = `${availableParallelism()}`;
    expect(printed('console.log(torch.numThreads())')).toBe(cores);
    expect(printed('console.log(torch.numThreads())', { OMP_NUM_THREADS: '3' })).toBe('3');
    expect(printed('console.log(torch.numThreads())', { OMP_NUM_THREADS: 'many' })).toBe(cores);
    expect(printed('torch.setNumThreads(5); console.log(torch.numThreads())')).toBe('5');
  });

  it('a worker that imports it later does not change the number', () => {
    const dist = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
    const worker = `import(${dist}).then(({ numThreads }) => require('node:worker_threads').parentPort.postMessage(numThreads()))`;
    const program = `torch.setNumThreads(3);
      const { Worker } = await import('node:worker_threads');
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] });
      worker.once('message', (inWorker) => console.log(inWorker, torch.numThreads()));`;
    expect(printed(program)).toBe('3 3');
  });

  it('denormals are flushed by the first operator, on each of its threads, unless it says otherwise', () => {
    const count = 'console.log(torch.full([1 << 18], 1e-30).mul(1e-9).ne(0).sum().item())';
    expect(printed(count, { OMP_NUM_THREADS: '2' })).toBe('0');
    expect(printed(`torch.setFlushDenormal(false); ${count}`)).toBe(`${1 << 18}`);
  });

  // 16 MiB, which glibc by default takes from the system and gives back each time: 4,096 faults.
  const program = `for (let i = 0; i < 20; i++) torch.zeros([4 << 20]).dispose();
    const before = process.resourceUsage().minorPageFault;
    for (let i = 0; i < 20; i++) torch.zeros([4 << 20]).dispose();
    console.log(process.resourceUsage().minorPageFault - before < 40000);`;
  it.runIf(process.platform === 'linux')('freed memory is kept, unless the environment tunes it', () => {
    expect(printed(program)).toBe('true');
    expect(printed(program, { MALLOC_MMAP_THRESHOLD_: '131072' })).toBe('false');
  });
});
