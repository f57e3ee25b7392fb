import { native } from './binding.js';

/** Threads that one operator uses, for the whole process. */
export function setNumThreads(count: number): void {
  native.setNumThreads(count);
}

export function numThreads(): number {
  return native.numThreads();
}

/** Treat denormal numbers as zero on the calling thread: they are many times slower. False where the CPU cannot. */
export function setFlushDenormal(enabled: boolean): boolean {
  return native.setFlushDenormal(enabled);
}

/** Whether the linked libtorch has CUDA and a device is there. */
export function cudaIsAvailable(): boolean {
  return native.cudaDeviceCount() > 0;
}

export function cudaDeviceCount(): number {
  return native.cudaDeviceCount();
}

/** The linked libtorch's version, such as '1.13.1'. */
export function torchVersion(): string {
  return native.version();
}

/** Tensors of this thread that are not disposed. A loop that does not leak returns to the same number. */
export function liveTensors(): number {
  return native.liveTensors();
}
