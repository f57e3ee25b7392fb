import type { Summary } from '@conquer-dml/run';
import { isSaturated } from '../evaluate/saturated.js';

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
  const standardError = errorOf(after, queries);
  return { metric, before, best: after, standardError, better: after - before > standardError };
}

const errorOf = (mean: number, queries: number) => Math.sqrt((mean * (1 - mean)) / queries);

/**
 * Why R@1 cannot tell what a run is worth, of fractions, in a clause to go on from; null where it can. It cannot where it is near its end and
 * MAP@R is not (`isSaturated`), or where it moved by less than its standard error over classes and MAP@R by more than its own.
 *
 * @param of how a fraction is written
 */
export function whyRecallCannotTell(
  { untrained, best, queries }: Pick<Summary, 'untrained' | 'best' | 'queries'>,
  of: (fraction: number) => string = (fraction) => fraction.toFixed(4),
): string | null {
  if (!best || queries === 0) return null;
  const moved = (name: string) => {
    const [before, after] = [untrained?.[name], best.metrics[name]];
    return before === undefined || after === undefined
      ? null
      : { before, after, by: Math.abs(after - before) };
  };
  const precision = moved('MAP@R');
  const before = precision ? ` (${of(precision.before)} before training)` : '';
  if (isSaturated(best.metrics))
    return `R@1 is ${of(best.metrics['R@1']!)} and so near its end, MAP@R ${of(best.metrics['MAP@R']!)}${before}`;
  const recall = moved('R@1');
  const error = best.metrics['R@1 SE'];
  if (!recall || !precision || error === undefined) return null;
  if (recall.by >= error || precision.by <= errorOf(precision.after, queries)) return null;
  return (
    `R@1 went from ${of(recall.before)} to ${of(recall.after)}, by less than its standard error over classes (${of(error)}), and MAP@R ` +
    `from ${of(precision.before)} to ${of(precision.after)}`
  );
}

/** Whether a run's best epoch was chosen by a number that cannot tell. */
export const isChosenBlindly = (summary: Summary): boolean =>
  summary.best?.chosenBy === 'R@1' && whyRecallCannotTell(summary) !== null;

/** A warning for a run whose best epoch is no better than chance makes it, or was chosen by a number that cannot tell; else null. */
export function howLittleWasLearnt(summary: Summary): string | null {
  if (isChosenBlindly(summary))
    return `R@1 cannot tell whether the run learnt: ${whyRecallCannotTell(summary)}; choose by MAP@R (evaluate.bestBy)`;
  const learnt = whetherLearnt(summary);
  if (learnt === null || learnt.better) return null;
  const { metric, before, best, standardError } = learnt;
  if (before >= 1 && best >= 1)
    return `whether the run learnt cannot be told: ${metric} was 1 before training already; choose by another metric (evaluate.bestBy), or test on more classes`;
  const within =
    best > before ? `, within the standard error that it may have, ${standardError.toFixed(4)}` : '';
  return (
    `the run ${best > before ? 'may not have learnt' : 'did not learn'}: ${metric} was ${before.toFixed(4)} before training and is ` +
    `${best.toFixed(4)} at best${within}; try pretrained weights, another learning rate, more epochs or more data`
  );
}
