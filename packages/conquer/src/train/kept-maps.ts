import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@conquer-dml/run';
import { aten, type DType, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { cacheError } from '../cache-folder.js';

/** What is kept of an image. */
export interface MapsForm {
  dtype: DType;
  /** Without the batch. */
  shape: readonly number[];
  /** Bytes of a number. */
  itemSize: number;
}

/** Some rows of a view, in the order of its places. */
export interface MapsPart {
  /** (n, …form.shape) */
  rows: Tensor;
  /** (n,) the image of each: where it cannot be read, another in its place. */
  indices: Int32Array;
}

/**
 * What layers that stay made of each image, in several views: on the disk a file a view, with the numbers of an image side by side,
 * so that a batch is read from where its images lie. A view that was kept by an earlier run is there.
 */
export class KeptMaps {
  private readonly files: FileHandle[] = [];
  /** By views, (N,) each. */
  private readonly images: Int32Array[] = [];
  /** New memory costs about as much as reading into it. */
  private buffer = new Uint8Array(0);

  /**
   * @param folder of these weights, views and images, and no others
   * @param count N
   */
  constructor(
    private readonly folder: string,
    private readonly form: MapsForm,
    private readonly count: number,
  ) {}

  /** Bytes of an image in a view. */
  static bytesOf({ shape, itemSize }: MapsForm): number {
    return shape.reduce((product, size) => product * size, itemSize);
  }

  /** Whether a view is whole on the disk. */
  has(view: number): boolean {
    const { rows, images } = this.pathsOf(view);
    const bytes = this.count * KeptMaps.bytesOf(this.form);
    return existsSync(images) && existsSync(rows) && statSync(rows).size === bytes;
  }

  /**
   * Keeps a view; half of one is not kept.
   *
   * @param parts of all N images; their rows stay the caller's
   * @throws UserError where there is no room
   */
  async write(view: number, parts: AsyncIterable<MapsPart>): Promise<void> {
    const { rows, images } = this.pathsOf(view);
    const unfinished = `${rows}.${randomUUID()}`;
    const found = new Int32Array(this.count);
    let done = 0;
    try {
      mkdirSync(this.folder, { recursive: true });
      const file = await open(unfinished, 'wx');
      try {
        for await (const { rows: part, indices } of parts) {
          const { buffer, byteOffset, byteLength } = part.toTypedArray();
          await file.writeFile(new Uint8Array(buffer, byteOffset, byteLength));
          found.set(indices, done);
          done += indices.length;
        }
      } finally {
        await file.close();
      }
      if (done !== this.count) throw new RangeError(`expected ${this.count} images, got ${done}`);
      renameSync(unfinished, rows);
      writeFileAtomic(images, `${JSON.stringify([...found])}\n`);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw cacheError('what the frozen layers make of the images', this.folder, error);
    }
  }

  /** @throws UserError where they cannot be read */
  async open(views: number): Promise<void> {
    for (let view = 0; view < views; view++) {
      const { rows, images } = this.pathsOf(view);
      this.images.push(Int32Array.from(JSON.parse(readFileSync(images, 'utf8')) as number[]));
      this.files.push(await open(rows, 'r'));
    }
  }

  /** The image that a place shows in a view. */
  imageAt(view: number, place: number): number {
    return this.images[view]![place]!;
  }

  /**
   * Reads the rows of places, each in its view. One call at a time.
   *
   * @returns makes of them (n, …form.shape) on the CPU, which belongs to the scope around; before the next call
   */
  async read(views: Int32Array, places: Int32Array): Promise<() => Tensor> {
    const { dtype, shape } = this.form;
    const bytes = KeptMaps.bytesOf(this.form);
    const length = places.length * bytes;
    if (this.buffer.length < length) this.buffer = new Uint8Array(length);
    const { buffer } = this;
    await Promise.all(
      Array.from(places, async (place, row) => {
        const file = this.files[views[row]!]!;
        const { bytesRead } = await file.read(buffer, row * bytes, bytes, place * bytes);
        if (bytesRead !== bytes) throw new RangeError(`${this.folder}: a file has become shorter`);
      }),
    );
    return () =>
      scope(() => {
        const read = tensor(buffer.subarray(0, length), { shape: [places.length, bytes] });
        return aten.view$dtype(read, dtype).view([places.length, ...shape]);
      });
  }

  async close(): Promise<void> {
    for (const file of this.files.splice(0)) await file.close();
    this.images.length = 0;
  }

  private pathsOf(view: number) {
    return {
      rows: join(this.folder, `view-${view}.rows`),
      images: join(this.folder, `view-${view}.json`),
    };
  }
}
