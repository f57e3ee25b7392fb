import { native } from './binding.js';

/**
 * Threads that one operator uses, for the whole process, as torch.set_num_threads. Until it is called: OMP_NUM_THREADS,
 * else one a core.
 * @throws Error unless 1 to 1024, or where the system lets no more threads start
 */
export function setNumThreads(count: number): void {
  native.setNumThreads(count);
}

/** Threads that one operator uses, as torch.get_num_threads. */
export function numThreads(): number {
  return native.numThreads();
}

/**
 * Lets libtorch treat denormal numbers as zero, as torch.set_flush_denormal: they are many times slower. It holds for
 * the operators and gradients that the calling thread asks for; JavaScript's own arithmetic keeps its denormals. It is
 * on from the start. Set it otherwise before the first operator: threads that libtorch has started already keep what they
 * have. False where the CPU cannot.
 */
export function setFlushDenormal(enabled: boolean): boolean {
  return native.setFlushDenormal(enabled);
}

/**
 * Lets the process keep freed memory of up to a gigabyte for the next allocation, instead of handing it back to the
 * system in between: a training step allocates the same activations again and again. It is so from the start, unless the
 * environment tunes the allocator (MALLOC_…, GLIBC_TUNABLES). False where the C library (other than glibc) has no such
 * setting.
 */
export function keepFreedMemory(): boolean {
  return native.keepFreedMemory();
}

/**
 * Makes operators take algorithms that give the same bits for the same input, as torch.use_deterministic_algorithms
 * and torch.backends.cudnn.deterministic. On a card many add in the order in which threads happen to finish. On the CPU
 * most give one result for one number of threads anyway, but the gradient of indexing by a tensor (`aten.index`) does
 * not: with two threads, from 32,768 elements on, it differs from call to call unless this is on. `indexSelect` and
 * `gather` repeat without it. An operator that has no such algorithm warns. For the whole process; call it before the
 * first operator on a card.
 */
export function useDeterministicAlgorithms(enabled: boolean): void {
  // cuBLAS reads this when it starts; without fixed workspaces its products are not repeatable.
  if (enabled) process.env.CUBLAS_WORKSPACE_CONFIG ??= ':4096:8';
  native.useDeterministicAlgorithms(enabled);
}

/** Whether the linked libtorch has CUDA and a device is there. */
export function cudaIsAvailable(): boolean {
  return native.cudaDeviceCount() > 0;
}

/** CUDA devices that libtorch sees; 0 where it has no CUDA. */
export function cudaDeviceCount(): number {
  return native.cudaDeviceCount();
}

/** Whether there is a card that has units for bfloat16 (from compute capability 8.0 on), by what its cuDNN takes. */
export function cudaComputesBfloat16(): boolean {
  return native.cudaComputesBfloat16();
}

/** The linked libtorch's version, such as '1.13.1'. */
export function torchVersion(): string {
  return native.version();
}

/** How the linked libtorch was built, and which of the processor's instructions it uses, in words: as torch.__config__.show(). */
export function showConfig(): string {
  return native.showConfig();
}

/** Tensors of this thread that are not disposed. A loop that does not leak returns to the same number. */
export function liveTensors(): number {
  return native.liveTensors();
}
