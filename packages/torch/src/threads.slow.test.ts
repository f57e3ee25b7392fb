import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';

// As many threads can be started as the variable THREADS says, from the moment when it is there.
const fewThreads = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
typedef int start(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  static int started;
  const char *most = getenv("THREADS");
  if (!most) started = 0;
  else if (started++ >= atoi(most)) return EAGAIN;
  return ((start *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, body, argument);
}`;

let folder: string;

beforeAll(() => {
  folder = temporaryFolder();
  writeFileSync(join(folder, 'few.c'), fewThreads);
  const compiled = ['-shared', '-fPIC', '-o', join(folder, 'few.so'), join(folder, 'few.c'), '-ldl'];
  execFileSync('cc', compiled);
});

/** What a program prints that is given torch, image, and `few(n)`: from now on n threads can be started. */
function printed(program: string): string {
  const dist = (name: string) => JSON.stringify(new URL(`../../${name}/dist/index.js`, import.meta.url).href);
  // The first use loads libtorch, which starts threads itself.
  const before = `const torch = await import(${dist('torch')}); const image = await import(${dist('image')});
    torch.numThreads();
    const few = (n) => { delete process.env.THREADS; new Intl.DateTimeFormat(); process.env.THREADS = n; };`;
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `${before} ${program}`],
    { encoding: 'utf8', env: { ...process.env, LD_PRELOAD: join(folder, 'few.so') } },
  );
  expect([status, signal, stderr]).toEqual([0, null, '']);
  return stdout.trim();
}

describe.runIf(process.platform === 'linux')('where no more threads can be started', () => {
  it.each([0, 1, 2])('kernels do all of their work on those that there are: %i more', (n) => {
    const program = `torch.setNumThreads(4);
      const rows = 512, columns = 2000, keep = 8;
      const block = torch.rand([rows, columns]);
      const [convolution, norm] = [new torch.nn.Conv2d(64, 64, 1, { bias: false }), new torch.nn.BatchNorm2d(64).eval()];
      norm.keepDerived();
      const maps = torch.rand([2, 64, 40, 40]);
      const work = () => {
        const candidates = new torch.NeighbourCandidates(rows, keep, columns);
        candidates.offer(block, 0, 0);
        const pixels = torch.imagesFromPixels(torch.full([64, 200, 200, 3], 7, { dtype: 'uint8' }));
        const embedded = torch.noGrad(() => torch.nn.convBatchNorm(maps, convolution, norm));
        return [pixels.sum().item(), candidates.offer(block, 0, 0), [...embedded.toNumbers()]];
      };
      const expected = work();
      few('${n}');
      const found = work();
      console.log(JSON.stringify(expected) === JSON.stringify(found), found[0] > 0);`;
    expect(printed(program)).toBe('true true');
  });

  it('a number that cannot be had is an error in words', () => {
    const program = `few('2');
      try { torch.setNumThreads(8); } catch (error) { console.log(error.message); }
      delete process.env.THREADS;
      torch.setNumThreads(8);
      console.log(torch.numThreads());`;
    expect(printed(program)).toMatch(
      /^expected to use 8 threads, but the system lets only 3 run: use fewer, or raise its limit of processes \(ulimit -u\)\n8$/,
    );
  });

  it('images are decoded on one thread, or it is an error in words', () => {
    const program = `import { writeFileSync } from 'node:fs';
      const path = ${JSON.stringify(join(folder, 'a.jpg'))};
      writeFileSync(path, 'no image');
      const decode = () => image.imageSizes([path, path, path], { threads: 4 }).catch((error) => console.log(error.message));
      few('0');
      await decode();
      delete process.env.THREADS;
      await decode();
      process.exit(0);`;
    const [without, with_] = printed(program).split('\n');
    expect(without).toMatch(/^no thread can be started: /);
    expect(with_).toMatch(/a\.jpg/);
  });
});
