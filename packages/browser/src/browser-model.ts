import type { InferenceSession, Tensor } from 'onnxruntime-web';
import { type ImageSource, imagePixels } from './image-pixels.js';
import { onnxMetadata } from './onnx-metadata.js';
import { nameOf, type OpenOptions, readBytes, type Source } from './read-bytes.js';
import { parseThresholds, type Threshold } from './threshold.js';

/** onnxruntime-web, `import * as runtime from 'onnxruntime-web/wasm'` or another of its entries. */
export type Runtime = Pick<typeof import('onnxruntime-web'), 'InferenceSession' | 'Tensor'>;

export interface OpenModelOptions extends OpenOptions {
  runtime: Runtime;
  /** For the runtime; default: on the processor, `executionProviders: ['wasm']`. */
  session?: InferenceSession.SessionOptions;
}

const WHAT = 'image.onnx, which conquer export writes';

/**
 * Opens the graph of a model.
 *
 * @param source the address of `image.onnx`, of `image_fp16.onnx` or of `image_int8.onnx`, or the bytes of one
 * @throws Error where it cannot be fetched, or is something else
 */
export async function openModel(
  source: Source,
  { runtime, session = { executionProviders: ['wasm'] }, ...options }: OpenModelOptions,
): Promise<BrowserModel> {
  const name = nameOf(source, 'the model');
  const bytes = await readBytes(source, WHAT, options);
  const metadata = onnxMetadata(bytes);
  const embedder = metadata?.get('conquer.embedder');
  const dim = Number(metadata?.get('conquer.dim'));
  if (!metadata || embedder === undefined || !(dim > 0))
    throw new Error(`${name}: expected ${WHAT}; it is ${metadata ? 'not of conquer' : 'no ONNX file'}`);
  const thresholds = parseThresholds(metadata.get('conquer.thresholds') ?? '[]', name);
  const labels = JSON.parse(metadata.get('conquer.labels') ?? '[]') as string[];
  const running = await runtime.InferenceSession.create(bytes, session).catch((error: Error) => {
    throw new Error(`${name}: the runtime cannot open it: ${error.message}`);
  });
  if (running.inputNames[0] !== 'image') {
    const [input] = running.inputNames;
    await running.release();
    throw new Error(`${name}: expected ${WHAT}; it is a graph that takes ${input}, not pictures`);
  }
  options.signal?.throwIfAborted();
  return new BrowserModel(running, runtime, { embedder, dim, thresholds, labels });
}

/** A model that takes pictures: images in, rows of length 1 out, as conquer makes them. */
export class BrowserModel {
  /** Whose weights these are: rows of another embedder are not to be compared with its. */
  readonly embedder: string;
  /** D, the numbers of a row. */
  readonly dim: number;
  /** What its similarities mean; none: it was not calibrated before it was exported. */
  readonly thresholds: readonly Threshold[];
  /** The classes that it was trained on. */
  readonly labels: readonly string[];
  /** A session does one thing at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly session: InferenceSession,
    private readonly runtime: Runtime,
    known: Pick<BrowserModel, 'embedder' | 'dim' | 'thresholds' | 'labels'>,
  ) {
    this.embedder = known.embedder;
    this.dim = known.dim;
    this.thresholds = known.thresholds;
    this.labels = known.labels;
  }

  /**
   * Embeds an image.
   *
   * @returns (D,) of length 1
   * @throws Error where it cannot be decoded, or its row is not finite
   */
  async embed(image: ImageSource): Promise<Float32Array> {
    const { width, height, data } = await imagePixels(image);
    const done = this.#last.then(async () => {
      const pixels = new this.runtime.Tensor('uint8', data as Uint8Array, [1, height, width, 3]);
      const { embedding } = (await this.session.run({ image: pixels })) as { embedding: Tensor };
      const row = (await embedding.getData(true)) as Float32Array;
      if (!row.every(Number.isFinite))
        throw new Error('the embedding of the image is not finite: take image.onnx, in full precision');
      return row;
    });
    this.#last = done.catch(() => {});
    return await done;
  }

  /** Frees the graph, after what is under way. */
  async close(): Promise<void> {
    await this.#last;
    await this.session.release();
  }
}
