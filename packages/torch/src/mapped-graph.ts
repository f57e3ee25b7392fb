import { native } from './binding.js';
import { attempt } from './error.js';
import { scope } from './scope.js';
import { aten, Tensor } from './tensor.js';

/**
 * A graph over rows (HNSW, Malkov and Yashunin 2016) in a file that usearch 2 wrote, of rows of int8 or float16, mapped into memory and
 * searched there. It belongs to its maker: dispose() it.
 */
export class MappedGraph {
  /** Rows in it. */
  readonly rows: number;
  /** Bytes of a row: its dimensions, or twice as many of float16. */
  readonly rowBytes: number;
  readonly #file: Tensor;
  readonly #nodes: Tensor;

  /**
   * @param bytes the length of the file
   * @throws TorchError where it is no such file
   */
  constructor(file: string, bytes: number) {
    this.#file = scope(() => aten.from_file(file, false, bytes, 'uint8').keep());
    try {
      this.#nodes = new Tensor(
        attempt('rowGraphNodes', () => native.rowGraphNodes(this.#file.handle)),
      ).keep();
    } catch (error) {
      this.#file.dispose();
      throw error;
    }
    this.rows = this.#nodes.size(0);
    this.rowBytes = new DataView(this.read(0, 8).buffer).getUint32(4, true);
  }

  get bytes(): number {
    return this.#file.size(0);
  }

  /** Bytes of the file, a copy. */
  read(start: number, count: number): Uint8Array {
    return scope(() => this.#file.narrow(0, start, count).toTypedArray() as Uint8Array);
  }

  /**
   * The keys of those rows whose products with a query are largest, of the rows that a walk through the graph meets.
   *
   * @param queries float32 (Q, D) on the CPU, contiguous
   * @param width rows that the walk keeps in view, 1 to `rows`: the more, the fewer are missed
   * @param keys that there are, from 0 on; default as many as rows
   * @returns Q × width, largest first, none more than once; −1 where fewer were met
   * @throws TorchError where the file is damaged, or a query has other dimensions
   */
  nearest(queries: Tensor, width: number, keys = this.rows): Int32Array {
    return scope(() => {
      const { handle } = queries;
      const found = attempt('rowGraphNearest', () =>
        native.rowGraphNearest(this.#file.handle, this.#nodes.handle, handle, width, keys),
      );
      return new Tensor(found).toTypedArray() as Int32Array;
    });
  }

  dispose(): void {
    this.#file.dispose();
    this.#nodes.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
