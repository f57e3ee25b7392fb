import type { Summary } from '@conquer-dml/run';

/** Whether a run got anywhere, by the metric that its best epoch was chosen by. */
export interface Learnt {
  metric: string;
  before: number;
  best: number;
  /** Of the best value: sqrt(p (1 - p) / queries), the largest that a mean of numbers in 0…1 can have. */
  standardError: number;
  /** The best epoch is better than the network before training by more than the standard error. */
  better: boolean;
}

/** null where it cannot be said, as nothing was measured before training or afterwards. */
export function whetherLearnt({ untrained, best, queries }: Summary): Learnt | null {
  if (!untrained || !best || queries === 0) return null;
  const metric = best.chosenBy;
  const [before, after] = [untrained[metric], best.metrics[metric]];
  if (before === undefined || after === undefined) return null;
  const standardError = Math.sqrt((after * (1 - after)) / queries);
  return { metric, before, best: after, standardError, better: after - before > standardError };
}

/** A warning for a run whose best epoch is no better than chance makes it; null where it is, or nothing can be said. */
export function howLittleWasLearnt(summary: Summary): string | null {
  const learnt = whetherLearnt(summary);
  if (learnt === null || learnt.better) return null;
  const { metric, before, best, standardError } = learnt;
  if (before >= 1 && best >= 1)
    return `whether the run learnt cannot be told: ${metric} was 1 before training already; choose by another metric (evaluate.bestBy), or test on more classes`;
  return (
    `the run did not learn: ${metric} was ${before.toFixed(4)} before training and is ${best.toFixed(4)} at best, standard ` +
    `error ${standardError.toFixed(4)}; try pretrained weights, another learning rate, more epochs or more data`
  );
}
