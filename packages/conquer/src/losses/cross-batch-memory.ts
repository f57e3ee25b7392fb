import type { Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { MemoryRing, type RememberedRows, type RingState } from './memory-ring.js';

export const crossBatchMemoryOptions = z.strictObject({
  size: z
    .int()
    .min(1)
    .max(1e8)
    .default(8192)
    .describe('rows of earlier batches that are kept for each learner, a batch at least'),
  startStep: z
    .int()
    .min(0)
    .default(1000)
    .describe('batches that train as without it first: rows of a network that changes fast soon mislead'),
  form: z
    .enum(['paper', 'authors'])
    .default('paper')
    .describe(
      'the batch against the memory, its own rows in it; authors: and against itself, added, as their code',
    ),
  weight: z
    .number()
    .min(0)
    .nullable()
    .default(null)
    .describe("how much the memory counts beside the batch, in the authors' form; null: 1"),
  momentum: z
    .number()
    .min(0)
    .max(0.999999)
    .nullable()
    .default(null)
    .describe(
      'embed what is kept with an average of the weights, of which so much stays at each step; null: with the weights',
    ),
});

export type CrossBatchMemoryOptions = z.input<typeof crossBatchMemoryOptions>;

/** Where a memory stands, besides its rows: plain JSON. */
export interface CrossBatchMemoryState {
  /** Batches so far. */
  steps: number;
  /** By learner. */
  rings: Record<string, RingState>;
}

/** What a batch is compared with, and how much that counts. */
export interface LossTerm {
  reference: Rows;
  weight: number;
}

/**
 * Cross-batch memory (Wang, Zhang, Huang, Scott, "Cross-Batch Memory for Embedding Learning", CVPR 2020): a loss of pairs
 * sees, besides its batch, the rows of the batches before. Algorithm 1 of the paper, and pytorch-metric-learning, put the
 * batch into the memory and compare it with all that is there; the authors' code adds that to the loss of the batch itself.
 *
 * Each learner has a ring of its own, of rows as they were before its mask: a batch is compared under the mask that the
 * learner has now. What is in it was drawn as the batch is, so that a new division is to empty it. It does not know
 * processes: who trains with several adds the rows of all, in one order.
 */
export class CrossBatchMemory {
  readonly size: number;
  readonly startStep: number;
  readonly form: 'paper' | 'authors';
  /** Of the memory's term. */
  readonly weight: number;
  private readonly rings = new Map<number, MemoryRing>();
  private steps = 0;

  /** @throws OptionError for options that cannot be, or would do nothing */
  constructor(given: Omit<CrossBatchMemoryOptions, 'momentum'> = {}) {
    const { size, startStep, form, weight } = withDefaults('', crossBatchMemoryOptions, given);
    if (weight !== null && form === 'paper')
      throw new OptionError(
        'weight',
        "has no effect: the paper's form has no loss of the batch beside the memory's; expected null, or form 'authors'",
      );
    this.size = size;
    this.startStep = startStep;
    this.form = form;
    this.weight = weight ?? 1;
  }

  /** Counts a batch. @returns whether the memory takes part in it */
  begin(): boolean {
    return this.steps++ >= this.startStep;
  }

  /** Keeps rows (B, D) of a learner's batch, as they are before its mask; they stay the caller's. @throws RangeError for too many */
  add(learner: number, rows: Tensor, owners: Labelled): void {
    this.ring(learner).add(rows, owners);
  }

  /** What is there of a learner, by slots: the memory's own rows, not copies. null: nothing. */
  remembered(learner: number): RememberedRows | null {
    return this.rings.get(learner)?.remembered() ?? null;
  }

  /** Where the next batch of a learner begins. */
  nextSlot(learner: number): number {
    return this.rings.get(learner)?.next ?? 0;
  }

  /** What a batch is compared with, of which the memory has its rows already. */
  terms(batch: Rows, memory: Rows): LossTerm[] {
    const remembered = { reference: memory, weight: this.weight };
    return this.form === 'paper' ? [remembered] : [{ reference: batch, weight: 1 }, remembered];
  }

  /** Forgets all rows: what learners have in common with those that they were of is not known any more. */
  empty(): void {
    for (const ring of this.rings.values()) ring.dispose();
    this.rings.clear();
  }

  /** Where it stands, and its tensors by name, which belong to the caller. */
  saved(): { state: CrossBatchMemoryState; tensors: Map<string, Tensor> } {
    const state: CrossBatchMemoryState = { steps: this.steps, rings: {} };
    const tensors = new Map<string, Tensor>();
    for (const [learner, ring] of this.rings) {
      const saved = ring.saved();
      if (saved === null) continue;
      state.rings[learner] = saved.state;
      for (const [name, value] of saved.tensors) tensors.set(`${learner}.${name}`, value);
    }
    return { state, tensors };
  }

  /** Goes on from what was saved, which is copied. @throws Error for what does not fit */
  load({ steps, rings }: CrossBatchMemoryState, tensors: ReadonlyMap<string, Tensor>, device: string): void {
    this.empty();
    this.steps = steps;
    for (const [learner, state] of Object.entries(rings)) {
      const own = new Map(
        [...tensors].flatMap(([name, value]) =>
          name.startsWith(`${learner}.`) ? [[name.slice(learner.length + 1), value] as const] : [],
        ),
      );
      this.ring(Number(learner)).load(state, own, device);
    }
  }

  dispose(): void {
    this.empty();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private ring(learner: number): MemoryRing {
    const known = this.rings.get(learner);
    if (known) return known;
    const ring = new MemoryRing(this.size, this.form === 'paper' ? 'wraps' : 'last slots');
    this.rings.set(learner, ring);
    return ring;
  }
}
