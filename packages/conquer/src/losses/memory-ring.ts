import { noGrad, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import type { Labelled } from '../rows.js';

/** What a ring keeps of each image: its row, and whose it is. */
export interface RememberedRows {
  /** (N, D) */
  rows: Tensor;
  /** (N,), and which image each row is of. */
  owners: Labelled;
}

/** Where a ring stands, besides its rows: plain JSON. */
export interface RingState {
  filled: number;
  next: number;
}

/**
 * The newest rows of the batches that were added, without gradients: float32 whatever they were computed in, but float64
 * for float64. A ring takes its memory at the first batch.
 */
export class MemoryRing {
  /** (size, D) */
  private store: Tensor | null = null;
  private readonly labels: Int32Array;
  private readonly imageIds: Int32Array;
  private state: RingState = { filled: 0, next: 0 };

  /**
   * @param size rows that it holds at most
   * @param whenFull where a batch goes that does not fit behind the last: the first slots follow the last (`wraps`), or it
   *   overwrites the last slots and the next one begins anew (`last slots`), as in the code of the paper's authors
   */
  constructor(
    readonly size: number,
    private readonly whenFull: 'wraps' | 'last slots' = 'wraps',
  ) {
    this.labels = new Int32Array(size);
    this.imageIds = new Int32Array(size);
  }

  /** Rows that are there. */
  get filled(): number {
    return this.state.filled;
  }

  /** The slot that the next batch begins at. */
  get next(): number {
    return this.state.next;
  }

  /**
   * @param rows (B, D), which stay the caller's
   * @throws RangeError for more rows than there are slots
   */
  add(rows: Tensor, { labels, imageIds }: Labelled): void {
    const count = labels.length;
    if (count > this.size)
      throw new RangeError(
        `a memory of ${this.size} rows: expected a batch of at most as many, got ${count}; make the memory larger`,
      );
    const { next, filled } = this.state;
    const room = this.size - next;
    const fits = count <= room;
    if (fits || this.whenFull === 'wraps') {
      const first = Math.min(count, room);
      this.put(next, rows, { labels, imageIds }, 0, first);
      if (first < count) this.put(0, rows, { labels, imageIds }, first, count - first);
    } else {
      this.put(this.size - count, rows, { labels, imageIds }, 0, count);
    }
    const wrapped = this.whenFull === 'wraps' ? (next + count) % this.size : fits ? next + count : 0;
    this.state = {
      next: wrapped,
      filled: Math.min(this.size, fits ? Math.max(filled, next + count) : this.size),
    };
  }

  private put(slot: number, rows: Tensor, { labels, imageIds }: Labelled, from: number, count: number): void {
    if (count === 0) return;
    this.labels.set(labels.subarray(from, from + count), slot);
    this.imageIds.set(imageIds.subarray(from, from + count), slot);
    scope(() =>
      noGrad(() => {
        const store = this.storeFor(rows);
        store.narrow(0, slot, count).copy_(rows.detach().narrow(0, from, count));
      }),
    );
  }

  private storeFor({ shape, dtype, device }: Tensor): Tensor {
    this.store ??= zeros([this.size, shape[1]!], {
      dtype: dtype === 'float64' ? 'float64' : 'float32',
      device,
    }).keep();
    return this.store;
  }

  /** Whose rows are there; copies. */
  owners(): Labelled {
    const { filled } = this.state;
    return { labels: this.labels.slice(0, filled), imageIds: this.imageIds.slice(0, filled) };
  }

  /** What is there, by slots: the ring's own rows, not copies. null: nothing. */
  remembered(): RememberedRows | null {
    if (this.store === null || this.state.filled === 0) return null;
    return { rows: this.store.narrow(0, 0, this.state.filled), owners: this.owners() };
  }

  /** For a checkpoint: tensors, which belong to the caller, and where the ring stands. */
  saved(): { state: RingState; tensors: Map<string, Tensor> } | null {
    const remembered = this.remembered();
    if (remembered === null) return null;
    const { rows, owners } = remembered;
    const tensors = new Map([
      ['rows', rows],
      ['labels', tensor(owners.labels)],
      ['imageIds', tensor(owners.imageIds)],
    ]);
    return { state: { ...this.state }, tensors };
  }

  /**
   * Goes on from what was saved, which is copied.
   *
   * @param device where the rows are to be
   * @throws Error for what does not fit
   */
  load(state: RingState, tensors: ReadonlyMap<string, Tensor>, device: string): void {
    const [rows, labels, imageIds] = ['rows', 'labels', 'imageIds'].map((name) => tensors.get(name));
    const numbers = [labels, imageIds].map((each) => each?.toTypedArray());
    const fits =
      rows?.shape.length === 2 &&
      state.filled <= this.size &&
      state.next <= this.size &&
      [rows, ...numbers].every(
        (each) => (each && 'size' in each ? each.size(0) : each?.length) === state.filled,
      );
    if (!rows || !fits)
      throw new Error(`the memory of ${state.filled} rows is incomplete, or not of this size`);
    this.dispose();
    this.labels.set(numbers[0] as Int32Array);
    this.imageIds.set(numbers[1] as Int32Array);
    scope(() =>
      noGrad(() => {
        const moved = rows.to({ device });
        this.storeFor(moved).narrow(0, 0, state.filled).copy_(moved);
      }),
    );
    this.state = { filled: state.filled, next: state.next };
  }

  /** Frees the rows; the ring is empty. */
  dispose(): void {
    this.store?.dispose();
    this.store = null;
    this.state = { filled: 0, next: 0 };
  }
}
