/** Positions in order, `batchSize` at a time; the last batch holds what is left. */
export class InOrderBatches implements Iterable<Int32Array> {
  /** The number of batches. */
  readonly length: number;

  /** @param count positions in all @param batchSize positive @param from the first of them */
  constructor(
    private readonly count: number,
    private readonly batchSize: number,
    private readonly from = 0,
  ) {
    this.length = Math.ceil(count / batchSize);
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    for (let start = 0; start < this.count; start += this.batchSize) {
      const length = Math.min(this.batchSize, this.count - start);
      yield Int32Array.from({ length }, (_, offset) => this.from + start + offset);
    }
  }
}
