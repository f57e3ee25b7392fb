import { describe, expect, it } from 'vitest';
import { lookAtMachine, type Machine } from '../machine.js';
import { diagnose } from './doctor.js';

const GIB = 2 ** 30;
const good: Machine = {
  node: '22.1.0',
  platform: 'linux x64',
  cpu: 'A processor',
  cores: 4,
  vectors: 'AVX2',
  memory: { total: 32 * GIB, free: 20 * GIB },
  torch: {
    works: true,
    version: '2.6.0',
    path: '/usr/lib/libtorch_cpu.so',
    blas: '/usr/lib/libopenblas.so.0',
    cudaDevices: 0,
    gflops: 200,
    threads: 4,
    instructions: 'AVX2',
    wrong: null,
  },
  images: { works: true, jpeg: '/usr/lib/libjpeg.so.62', sharp: '0.35.5', vips: '8.18.7', wrong: null },
  bindings: {
    torch: [
      { origin: 'built here', what: 'libtorch 2.6.0 in /usr/lib', file: '/a.node', wrong: null },
      { origin: 'prebuilt', what: '@conquer-dml/linux-x64, libtorch 2.13.0', file: '/b.node', wrong: null },
    ],
    image: [{ origin: 'built here', what: 'libjpeg-turbo 2.1.5 in /usr/lib', file: '/c.node', wrong: null }],
    libtorchs: [
      { origin: 'Python', root: '/venv', version: '2.13.0', libDir: '/venv/lib', cuda: true, built: false },
      { origin: 'system', root: '/usr', version: '1.13.0', libDir: '/usr/lib64', cuda: false, built: true },
      { origin: 'system', root: '/usr', version: '2.6.0', libDir: '/usr/lib', cuda: false, built: true },
    ],
    absent: {
      torch: [{ origin: 'LIBTORCH', why: 'it is not set' }],
      image: [{ origin: 'prebuilt', why: 'none is prebuilt for this' }],
    },
  },
  cards: [],
  environment: { OMP_WAIT_POLICY: null, OMP_NUM_THREADS: null },
  cache: { path: '/cache', parts: [{ name: 'emoji', bytes: GIB }], diskFree: 100 * GIB },
};
const torch = good.torch as Machine['torch'] & { works: true };

describe('diagnose', () => {
  it('finds nothing where nothing is', () => {
    expect(diagnose(good).filter(({ state, fix }) => state !== 'ok' || fix)).toEqual([]);
  });

  it.each<[string, Partial<Machine>, string, string, RegExp]>([
    ['an old Node', { node: '20.18.3' }, 'Node', 'broken', /20\.19 or newer/],
    ['no AVX2', { vectors: 'AVX' }, 'processor', 'slow', /AVX2/],
    ['no binding', { torch: { works: false, reason: 'no file' } }, 'libtorch', 'broken', /npx conquer build/],
    ['wrong values', { torch: { ...torch, wrong: '3 for 2' } }, 'convolution', 'broken', /LIBTORCH/],
    ['a reference BLAS', { torch: { ...torch, gflops: 6 } }, 'BLAS', 'slow', /libopenblas0-openmp/],
    ['an idle card', { cards: ['NVIDIA H100'] }, 'CUDA', 'missing', /LIBTORCH/],
    [
      'spinning threads',
      { environment: { OMP_WAIT_POLICY: 'active', OMP_NUM_THREADS: null } },
      'waiting',
      'slow',
      /unset OMP_WAIT_POLICY/,
    ],
    ['no decoder', { images: { works: false, reason: 'no file' } }, 'images', 'broken', /npx conquer build/],
    [
      'a wrong decoder',
      { images: { works: true, jpeg: null, sharp: '', vips: '', wrong: '9 for 200' } },
      'images',
      'broken',
      /LIBJPEG/,
    ],
    ['little memory', { memory: { total: 4 * GIB, free: GIB } }, 'memory', 'slow', /--batch-size/],
    ['a full disk', { cache: { ...good.cache, diskFree: GIB } }, 'cache', 'missing', /CONQUER_CACHE/],
  ])('says how to fix %s', (_, change, what, state, fix) => {
    const findings = diagnose({ ...good, ...change }).filter((finding) => finding.state !== 'ok');
    expect(findings).toEqual([expect.objectContaining({ what, state, fix: expect.stringMatching(fix) })]);
    expect(findings[0]?.fix).not.toContain('\n');
  });

  it('says what was found, in order, what is taken, and what is not there', () => {
    const found = diagnose(good).filter(({ what }) => ['taken', 'found', 'not there'].includes(what));
    expect(found.map(({ what, found: text }) => `${what} ${text}`)).toEqual([
      'taken torch, built here: libtorch 2.6.0 in /usr/lib; taken',
      'found torch, prebuilt: @conquer-dml/linux-x64, libtorch 2.13.0; not taken: built here goes first',
      "found torch: libtorch 2.13.0 with CUDA in /venv/lib (Python's); not taken: it has no binding",
      "found torch: libtorch 1.13.0 in /usr/lib64 (system's); not taken: LIBTORCH=/usr takes it",
      'not there torch, LIBTORCH: it is not set',
      'taken image, built here: libjpeg-turbo 2.1.5 in /usr/lib; taken',
      'not there image, prebuilt: none is prebuilt for this',
    ]);
  });

  it('says that a card is used', () => {
    const cuda = diagnose({ ...good, cards: ['NVIDIA H100'], torch: { ...torch, cudaDevices: 1 } });
    expect(cuda.find(({ what }) => what === 'CUDA')).toMatchObject({
      state: 'ok',
      found: expect.stringContaining('NVIDIA H100'),
    });
  });
});

describe('lookAtMachine', () => {
  it('sees this machine', async () => {
    const machine = await lookAtMachine();
    expect(machine.node).toBe(process.versions.node);
    expect(machine.torch).toMatchObject({
      works: true,
      version: expect.stringMatching(/^\d+\.\d+/),
      wrong: null,
    });
    expect(machine.images).toMatchObject({ works: true, vips: expect.stringMatching(/^8\./), wrong: null });
    expect(machine.bindings.torch[0]?.wrong).toBeNull();
    if (process.platform === 'linux' && machine.torch.works)
      expect(machine.torch.path).toMatch(/libtorch_cpu\.so/);
    expect(machine.memory.total).toBeGreaterThan(machine.memory.free);
  });
});
