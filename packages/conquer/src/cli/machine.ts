import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Absent, findBindings, Pair } from '@conquer-dml/torch';
import { cacheFolder } from '../cache-folder.js';
import { tryConvolution, tryDecoding } from './trial.js';

/** Whether a part of the program loads, and what it runs on. */
export type Part<T> = ({ works: true } & T) | { works: false; reason: string };

/** What the speed and the working of the program depend on. Sizes in bytes. */
export interface Machine {
  node: string;
  platform: string;
  cpu: string;
  /** Cores that this process may use. */
  cores: number;
  /** The widest vector instructions of an x86 processor that are of use, null on others or where it is not known. */
  vectors: 'AVX-512' | 'AVX2' | 'AVX' | 'none' | null;
  memory: { total: number; free: number };
  torch: Part<{
    version: string;
    /** The library's file; null where the system does not tell. */
    path: string | null;
    blas: string | null;
    cudaDevices: number;
    /** Of single-precision products of 1024 × 1024 matrices on as many threads as training would use. */
    gflops: number;
    /** Threads that an operator uses. */
    threads: number;
    /** The instructions that libtorch has chosen, such as 'AVX2'; null where it does not say. */
    instructions: string | null;
    /** What a convolution gave that it should not; null where it was right. */
    wrong: string | null;
  }>;
  images: Part<{ jpeg: string | null; sharp: string; vips: string; wrong: string | null }>;
  /** The bindings that are there, in the order in which they are taken, what they could be built against, and what is not there. */
  bindings: {
    torch: Pair[];
    image: Pair[];
    libtorchs: ReturnType<typeof findBindings>['libtorchs'];
    absent: { torch: Absent[]; image: Absent[] };
  };
  /** Names of NVIDIA's cards by nvidia-smi, whether or not libtorch can use them. */
  cards: string[];
  environment: { OMP_WAIT_POLICY: string | null; OMP_NUM_THREADS: string | null };
  cache: { path: string; parts: { name: string; bytes: number }[]; diskFree: number | null };
}

/** Files of libraries that this process has loaded. */
function loadedLibraries(): string[] {
  if (!process.report) return [];
  // Names of hosts, which take seconds to look up, are left out; the types of Node 20 do not know the setting yet.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { sharedObjects?: string[] };
  return report.sharedObjects ?? [];
}

function library(pattern: RegExp, libraries: readonly string[]): string | null {
  const path = libraries.find((file) => pattern.test(file));
  return path === undefined ? null : existsSync(path) ? realpathSync(path) : path;
}

const reasonOf = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

async function torchOf(): Promise<Machine['torch']> {
  try {
    const { cudaDeviceCount, numThreads, randn, showConfig, torchVersion } = await import(
      '@conquer-dml/torch'
    );
    using a = randn([1024, 1024]);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const start = performance.now();
      a.matmul(a).dispose();
      best = Math.min(best, performance.now() - start);
      if (best > 1000) break; // slow enough to know
    }
    const libraries = loadedLibraries();
    return {
      works: true,
      version: torchVersion(),
      path: library(/libtorch_cpu\./, libraries),
      // The library itself, where it stands behind an interface.
      blas:
        library(/mkl_(core|rt)/, libraries) ??
        library(/\/(lib)?(openblas|blis|Accelerate)[^/]*$/, libraries) ??
        library(/(?<!cu)blas/, libraries),
      cudaDevices: cudaDeviceCount(),
      gflops: (2 * 1024 ** 3) / best / 1e6,
      threads: numThreads(),
      instructions: /CPU capability usage: (.*)/.exec(showConfig())?.[1]?.trim() ?? null,
      wrong: await tryConvolution(),
    };
  } catch (error) {
    return { works: false, reason: reasonOf(error) };
  }
}

async function imagesOf(): Promise<Machine['images']> {
  try {
    const { imageLibraries } = await import('@conquer-dml/image');
    const libraries = await imageLibraries();
    const jpeg = library(/libjpeg\.|libturbojpeg/, loadedLibraries());
    return { works: true, jpeg, ...libraries, wrong: await tryDecoding() };
  } catch (error) {
    return { works: false, reason: reasonOf(error) };
  }
}

async function bindingsOf(): Promise<Machine['bindings']> {
  const torch = await import('@conquer-dml/torch');
  const image = await import('@conquer-dml/image');
  const { bindings: decoders, absent: absentDecoders } = image.findBindings();
  try {
    const { bindings, libtorchs, absent } = torch.findBindings();
    return { torch: bindings, libtorchs, image: decoders, absent: { torch: absent, image: absentDecoders } };
  } catch (error) {
    // LIBTORCH leads nowhere.
    const given: Pair = { origin: 'LIBTORCH', what: 'nothing', file: null, wrong: reasonOf(error) };
    return { torch: [given], libtorchs: [], image: decoders, absent: { torch: [], image: absentDecoders } };
  }
}

function vectorsOf(): Machine['vectors'] {
  let flags: string[];
  try {
    const line = /^flags\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    if (!line?.[1]) return null;
    flags = line[1].split(' ');
  } catch {
    return null;
  }
  if (flags.includes('avx512f')) return 'AVX-512';
  if (flags.includes('avx2') && flags.includes('fma')) return 'AVX2';
  return flags.includes('avx') ? 'AVX' : 'none';
}

function cardsOf(): string[] {
  try {
    const args = ['--query-gpu=name', '--format=csv,noheader'];
    const names = execFileSync('nvidia-smi', args, {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return names.split('\n').filter((name) => name.trim() !== '');
  } catch {
    return []; // no card, or no driver
  }
}

function folderBytes(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) bytes += folderBytes(inner);
    else if (entry.isFile()) bytes += statSync(inner).size;
  }
  return bytes;
}

function cacheOf(): Machine['cache'] {
  const path = cacheFolder();
  if (!existsSync(path)) return { path, parts: [], diskFree: null };
  const parts = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name, bytes: folderBytes(join(path, name)) }));
  const { bavail, bsize } = statfsSync(path);
  return { path, parts, diskFree: bavail * bsize };
}

/** Looks at the machine; it takes about a second, for libtorch to load and to multiply. */
export async function lookAtMachine(): Promise<Machine> {
  const { OMP_WAIT_POLICY = null, OMP_NUM_THREADS = null } = process.env; // before libtorch is loaded, which sets the first
  const torch = await torchOf();
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    vectors: vectorsOf(),
    memory: { total: memoryLimit(), free: Math.min(freemem(), memoryLimit()) },
    torch,
    images: await imagesOf(),
    bindings: await bindingsOf(),
    cards: cardsOf(),
    environment: { OMP_WAIT_POLICY, OMP_NUM_THREADS },
    cache: cacheOf(),
  };
}

/** The machine's memory, or what a container may use of it. */
function memoryLimit(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
