import { native } from './binding.js';
import { tensor } from './creation.js';
import { ProcessGroupError } from './error.js';
import type { BatchShare } from './random.js';
import { scope } from './scope.js';
import { aten, Tensor } from './tensor.js';

/** Where a process stands in a group: what torchrun says by MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE. */
export interface GroupPlace {
  /** Where rank 0 runs. */
  host: string;
  /** That rank 0 listens on; the others listen on free ones. */
  port: number;
  rank: number;
  /** Processes in all. */
  size: number;
  /** Seconds that a process is waited for, to join or in a collective, while it lives; default 1800, as PyTorch's with gloo. */
  timeout?: number | undefined;
  /** Seconds without a sign of life after which a process is lost; default 30. Signs come from a thread of their own. */
  silence?: number | undefined;
}

/** What is told while others are waited for. */
export interface Waiting {
  /** In words: `rank 0 of 2`. */
  whom: string;
  /** Since the waiting began. */
  seconds: number;
  /** At which it ends. */
  timeout: number;
}

/**
 * Processes that train together, over TCP: torch.distributed with a process group, whose collectives block. All ranks have the
 * same bits afterwards: sums are made in one order. What every rank calls, with which dtype and shape, is compared first.
 *
 * Every collective throws a ProcessGroupError, on all ranks alike, where they do not call the same, and where one of them is
 * lost (it ended, or was silent) or left for a reason: its message names that rank.
 */
export class ProcessGroup {
  private left = false;

  private constructor(
    readonly rank: number,
    readonly size: number,
    private readonly handle: number,
  ) {}

  /**
   * Waits for all others.
   *
   * @param onWaiting told some times a second until they are there; what it throws ends the waiting, and is thrown
   * @throws ProcessGroupError where they do not come, or two have the same rank
   */
  static join(
    { host, port, rank, size, timeout = 1800, silence = 30 }: GroupPlace,
    onWaiting: (waiting: Waiting) => void = () => {},
  ): ProcessGroup {
    const begun = performance.now();
    let thrown: { error: unknown } | null = null;
    const tell = (whom: string) => {
      try {
        onWaiting({ whom, seconds: (performance.now() - begun) / 1000, timeout });
      } catch (error) {
        thrown = { error };
      }
      return thrown !== null;
    };
    try {
      const handle = inWords(() => native.joinProcessGroup(host, port, rank, size, timeout, silence, tell));
      return new ProcessGroup(rank, size, handle);
    } catch (error) {
      throw (thrown as { error: unknown } | null)?.error ?? error;
    }
  }

  /** A group of this process, which exchanges nothing. */
  static alone(): ProcessGroup {
    return new ProcessGroup(0, 1, -1);
  }

  /** Whether this process is the one that writes and prints. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** Makes a tensor the sum of all ranks' tensors of its shape, float32, float64, int32 or int64. NaN on any rank is NaN on all. */
  allReduce(tensor: Tensor): void {
    this.inPlace(tensor, (handle) => native.allReduce(this.handle, handle));
  }

  /** (N, …) → the rows of all ranks, by rank, of which each may have a number of its own; without gradients. The caller's. */
  allGather(rows: Tensor): Tensor {
    return scope(() => {
      if (this.size === 1) return rows.detach().clone();
      const plain = onCpu(rows);
      return new Tensor(inWords(() => native.allGather(this.handle, plain.handle))).to({
        device: rows.device,
      });
    });
  }

  /**
   * Makes parameters' gradients the sums over all ranks, which already go around, in buckets, while `pass` computes others, as those of
   * DistributedDataParallel. The last parameters are expected to be the first to have theirs.
   *
   * A parameter without a gradient on some ranks counts as 0 there; one that has none on any has none afterwards.
   *
   * @param parameters float32 or float64, that learn; on all ranks the same
   * @param pass one backward pass, the last that gives them gradients; default: they have them
   * @throws what `pass` throws, after which the group can but be left
   */
  sumGradients(parameters: readonly Tensor[], pass: () => void = () => {}): void {
    if (this.size === 1) {
      pass();
      return;
    }
    const end = (whole: boolean) => inWords(() => native.endGradientSums(this.handle, whole));
    inWords(() =>
      native.beginGradientSums(
        this.handle,
        parameters.map(({ handle }) => handle),
      ),
    );
    try {
      pass();
    } catch (error) {
      end(false); // throws where that is why
      throw error;
    }
    end(true);
  }

  /** Makes a tensor that of rank 0. */
  broadcast(tensor: Tensor): void {
    this.inPlace(tensor, (handle) => native.broadcast(this.handle, handle));
  }

  /** Whether any rank says so. */
  any(flag: boolean): boolean {
    if (this.size === 1) return flag;
    return scope(() => {
      const count = tensor([Number(flag)], { dtype: 'int32' });
      this.allReduce(count);
      return count.item() > 0;
    });
  }

  /** This rank's part of `total` images: consecutive ones, of which each rank has as many, or one more. */
  share(total: number): BatchShare {
    const begin = (rank: number) => Math.floor((rank * total) / this.size);
    const from = begin(this.rank);
    return { from, count: begin(this.rank + 1) - from, total };
  }

  /** What `value` gives at rank 0, where alone it is called; the others have it by way of JSON. */
  broadcastObject<T>(value: () => T): T {
    if (this.size === 1) return value();
    const own = this.isFirst ? { value: value() } : null;
    return scope(() => {
      const bytes = Buffer.from(own === null ? '' : JSON.stringify(own));
      const all = this.allGather(new Tensor(native.fromBuffer(bytes, [bytes.length], 'uint8')));
      if (own !== null) return own.value;
      return (JSON.parse(Buffer.from(all.toTypedArray() as Uint8Array).toString()) as { value: T }).value;
    });
  }

  /** What every rank gives, by rank; by way of JSON. */
  gatherObjects<T>(own: T): T[] {
    if (this.size === 1) return [own];
    return scope(() => {
      // JSON of one line each.
      const bytes = Buffer.from(`${JSON.stringify([own])}\n`);
      const all = this.allGather(new Tensor(native.fromBuffer(bytes, [bytes.length], 'uint8')));
      const lines = Buffer.from(all.toTypedArray() as Uint8Array)
        .toString()
        .trimEnd()
        .split('\n');
      return lines.map((line) => (JSON.parse(line) as [T])[0]);
    });
  }

  /** All ranks' numbers, by rank. */
  gatherNumbers(own: Int32Array): Int32Array {
    if (this.size === 1) return own;
    return scope(() => this.allGather(tensor(own)).toTypedArray() as Int32Array);
  }

  /** Returns once all ranks have called it. */
  barrier(): void {
    if (this.size > 1) inWords(() => native.barrier(this.handle));
  }

  /** Goes. @param reason why the others cannot go on: a line, which they end with; by default they can */
  leave(reason = ''): void {
    if (this.size === 1 || this.left) return;
    this.left = true;
    inWords(() => native.leaveProcessGroup(this.handle, reason));
  }

  private inPlace(tensor: Tensor, collective: (handle: number) => void): void {
    if (this.size === 1) return;
    scope(() => {
      const plain = onCpu(tensor);
      inWords(() => collective(plain.handle));
      if (plain.handle !== tensor.handle) aten.copy_(tensor.detach(), plain);
    });
  }
}

/** As it can be sent: the tensor itself where it is so already. */
const onCpu = (tensor: Tensor): Tensor => tensor.detach().to({ device: 'cpu' }).contiguous();

function inWords<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new ProcessGroupError((error as Error).message);
  }
}
