import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';

/** What became of an image, as in native/requests.h. */
export const outcome = { open: 0, done: 1, other: 2, damaged: 3, short: 4 } as const;

/**
 * The addon in native/; what each array holds is said beside the functions there, in sizes, files, pixels and
 * warp-images.cc. Throws TypeErrors; rejects where an array was transferred or resized meanwhile.
 */
interface Native {
  imageSizes(
    images: readonly (string | Uint8Array)[],
    sizes: Int32Array,
    pixelLimit: number,
    threads: number,
    job: number,
  ): Promise<void>;
  decodeFiles(
    images: readonly (string | Uint8Array)[],
    requests: Int32Array,
    out: Uint8Array,
    outcomes: Uint8Array,
    pixelLimit: number,
    threads: number,
    job: number,
  ): Promise<void>;
  /** @param pixels a file's descriptor, or the pixels themselves */
  readPixels(
    pixels: number | Uint8Array,
    places: Float64Array,
    requests: Int32Array,
    out: Uint8Array,
    outcomes: Uint8Array,
    threads: number,
    job: number,
  ): Promise<void>;
  warpImages(
    pixels: Uint8Array,
    side: number,
    matrices: Float32Array,
    fill: number,
    outSide: number,
    out: Uint8Array,
    threads: number,
    job: number,
  ): Promise<void>;
  /** Of the jobs with this number, the images that have not been begun are left out. */
  cancel(job: number): void;
  checksum(bytes: Uint8Array): number;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)('../build/conquer_image.node') as Native;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new Error(`the native image decoder could not be loaded (${reason}). Build it with: npm run setup`);
  }
}

/**
 * The addon, which is loaded when something of it is first asked for: what only imports this package does not wait for
 * it. From then on its functions are this object's own properties.
 *
 * @throws Error where it is asked for and cannot be loaded
 */
export const native: Native = Object.create(
  new Proxy(Object.prototype, {
    get(prototype, name) {
      Object.setPrototypeOf(Object.assign(native, load()), prototype);
      return Reflect.get(native, name);
    },
  }),
);

export interface NativeOptions {
  /** Threads of the addon that work on the images; default one a core. */
  threads?: number | undefined;
  /** Ends the work early; what runs already is waited for. */
  signal?: AbortSignal | undefined;
}

let jobs = 0;

/**
 * Runs a job of the addon, and ends it when the signal says so.
 * @throws the signal's reason
 * @throws Error if an array that it fills was transferred or resized meanwhile
 */
export async function runNative(
  { threads = availableParallelism(), signal }: NativeOptions,
  run: (threads: number, job: number) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted();
  const job = ++jobs;
  const stop = () => native.cancel(job);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await run(threads, job);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  signal?.throwIfAborted();
}
