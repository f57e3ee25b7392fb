import { F, scope, type Tensor } from '@conquer-dml/torch';
import type { Cutoff } from '../mining-bounds.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { Loss } from './loss.js';

/**
 * A loss of the first so many dimensions alone, brought to length 1: with the loss of all of them, an embedding whose prefixes are
 * embeddings of their own (Kusupati et al., "Matryoshka representation learning", NeurIPS 2022). A miner's tuples are those of
 * the whole embedding. Under a learner's mask it is the prefix of the masked embedding. What the loss learns is saved under `loss`.
 */
export class PrefixLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference: boolean;

  /** @param loss made for embeddings of `dimensions` */
  constructor(
    readonly loss: Loss,
    readonly dimensions: number,
  ) {
    super();
    this.usesTuples = loss.usesTuples;
    this.usesReference = loss.usesReference;
  }

  override get takes() {
    return this.loss.takes;
  }

  override get takesSeveralLabels(): boolean {
    return this.loss.takesSeveralLabels;
  }

  override get takesKnownPairs(): boolean {
    return this.loss.takesKnownPairs;
  }

  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return this.loss.hasEnough(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const own = this.#cut(anchors);
      return this.loss.forward(own, reference === anchors ? own : this.#cut(reference), mined);
    });
  }

  #cut({ embeddings, raw, ...labelled }: Rows): Rows {
    const first = (rows: Tensor) => rows.narrow(1, 0, this.dimensions);
    // Of length 1 again, it is the same whether they had length 1 before.
    return { ...labelled, embeddings: F.normalize(first(embeddings)), ...(raw && { raw: first(raw) }) };
  }

  override zeroLossDistance(): Cutoff {
    return this.loss.zeroLossDistance();
  }

  override semihardMargin(): number {
    return this.loss.semihardMargin();
  }
}
