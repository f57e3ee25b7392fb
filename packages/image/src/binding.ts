import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { loadBinding } from '@conquer-dml/native/find-binding';

/** What became of an image, as in native/requests.h. */
export const outcome = { open: 0, done: 1, other: 2, damaged: 3, short: 4 } as const;

/** A path, a part of a file, or what would be in the file. */
export type AddonImage = string | readonly [path: string, offset: number, length: number] | Uint8Array;

/**
 * The addon in native/; what each array holds is said beside the functions there, in file-ids, sizes, files, pixels
 * and warp-images.cc. Throws TypeErrors; rejects where an array was transferred or resized meanwhile.
 */
interface Native {
  fileIds(
    paths: readonly string[],
    ids: Int32Array,
    sizes: Float64Array,
    threads: number,
    job: number,
  ): Promise<void>;
  imageSizes(
    images: readonly AddonImage[],
    sizes: Int32Array,
    pixelLimit: number,
    threads: number,
    job: number,
  ): Promise<void>;
  decodeFiles(
    images: readonly AddonImage[],
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

/** Of this package: the bindings that are built here lie in it. */
export const packageFolder = fileURLToPath(new URL('..', import.meta.url));

/**
 * The addon, which is loaded when something of it is first asked for: what only imports this package does not wait for
 * it. From then on its functions are this object's own properties.
 *
 * @throws SetupError where it is asked for and there is none, or none that fits; its message is a line that says what to do
 */
export const native: Native = Object.create(
  new Proxy(Object.prototype, {
    get(prototype, name) {
      Object.setPrototypeOf(Object.assign(native, loadBinding('image', packageFolder)), prototype);
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
