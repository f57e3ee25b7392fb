/** Batches of one learner: arrays of positions in the training split. Each iteration is a new epoch of it. */
export interface LearnerBatches extends Iterable<Int32Array> {
  /** Batches in an epoch. */
  readonly length: number;
}

export interface LearnerBatch {
  learner: number;
  /** Positions in the training split. */
  indices: Int32Array;
}

/**
 * The batches of all learners in turn: one of learner 0, one of learner 1, …, round after round, as many
 * rounds as the largest has batches ("over": the smaller ones start again when they are through). Learners
 * without any batch are passed over.
 *
 * @throws Error if a learner that promises batches has none when it starts again
 */
export function* interleaveLearners(
  learners: readonly LearnerBatches[],
): Generator<LearnerBatch, void, undefined> {
  const active = [...learners.entries()].filter(([, batches]) => batches.length > 0);
  const running = active.map(([, batches]) => batches[Symbol.iterator]());
  const rounds = Math.max(0, ...learners.map((batches) => batches.length));
  for (let round = 0; round < rounds; round++) {
    for (const [turn, [learner, batches]] of active.entries()) {
      let next = running[turn]?.next();
      if (!next || next.done) {
        const restarted = batches[Symbol.iterator]();
        running[turn] = restarted;
        next = restarted.next();
        if (next.done) {
          throw new Error(
            `interleave: the sampler of learner ${learner} promises ${batches.length} batches but has none`,
          );
        }
      }
      yield { learner, indices: next.value };
    }
  }
}

/** How many batches `interleaveLearners` yields. */
export function interleavedLength(learners: readonly LearnerBatches[]): number {
  const rounds = Math.max(0, ...learners.map((batches) => batches.length));
  return rounds * learners.filter((batches) => batches.length > 0).length;
}
