import { didYouMean, UserError } from '@conquer-dml/run';
import { ami } from './ami.js';
import { classDistance } from './class-distances.js';
import { falseNonMatchRate } from './fnmr.js';
import { kMeansObjective } from './kmeans-objective.js';
import { meanInverseNegativePenalty, meanReciprocalRank } from './last-hit.js';
import { mapAtK, mapOfFound, mapOfRelevant, meanAveragePrecisionOfAll } from './map-at-k.js';
import { mapAtR } from './map-at-r.js';
import { marp } from './marp.js';
import type { Metric } from './metric.js';
import { nmi } from './nmi.js';
import { openSetArea, openSetIdentification } from './open-set.js';
import { f1 } from './pair-f1.js';
import { precision, precisionOfAll, rPrecision, shareFound } from './precision.js';
import { principalComponents } from './principal-components.js';
import { cmc, recall } from './recall.js';
import { rho } from './spectral-decay.js';
import { accuracy, rocAuc } from './verification.js';

/** All metrics, in the order of results. */
export const metrics = [
  recall,
  cmc,
  precision,
  precisionOfAll,
  shareFound,
  rPrecision,
  mapAtR,
  marp,
  mapOfFound,
  mapOfRelevant,
  mapAtK,
  meanAveragePrecisionOfAll,
  meanReciprocalRank,
  meanInverseNegativePenalty,
  accuracy,
  rocAuc,
  falseNonMatchRate,
  openSetIdentification,
  openSetArea,
  nmi,
  ami,
  kMeansObjective,
  f1,
  rho,
  principalComponents,
  classDistance,
] as const satisfies readonly Metric[];

const known: readonly Metric[] = metrics;

/** The numbers that a metric is measured at, where recall is reported at these k's. */
export const numbersOf = ({ at = [] }: Metric, recallAt: readonly number[]): readonly number[] =>
  at === 'recall' ? recallAt : at;

/** What a metric is called in results, where recall is reported at these k's. */
export const namesOf = (metric: Metric, recallAt: readonly number[]): readonly string[] =>
  metric.names(numbersOf(metric, recallAt));

/** A metric, and the numbers that it is wanted at. */
export interface WantedMetric {
  metric: Metric;
  at: readonly number[];
}

/** Those after each epoch; these and others that say more or take longer. */
export const groupsOfMetrics = ['usual', 'all'] as const;

/**
 * What is to be measured, in the order of results.
 *
 * @param wanted names, with numbers of their own (`P@3`), or groups of them
 * @param recallAt the k's of those that have none of their own
 * @throws UserError for a name that there is not
 */
export function wantedMetrics(wanted: readonly string[], recallAt: readonly number[]): WantedMetric[] {
  const all = new Map<Metric, number[] | null>();
  const add = (metric: Metric, at: readonly number[]) =>
    all.set(metric, [...new Set([...(all.get(metric) ?? []), ...at])]);
  for (const name of wanted) {
    if (name === 'usual' || name === 'all') {
      for (const metric of known)
        if (metric.when === 'always' || (name === 'all' && metric.when === 'all'))
          add(metric, numbersOf(metric, recallAt));
      continue;
    }
    const found = metricNamed(name);
    if (!found) throw unknownMetric(name, recallAt);
    add(found.metric, found.at);
  }
  return known.flatMap((metric) => {
    const at = all.get(metric);
    return at ? [{ metric, at: [...at].sort((a, b) => a - b) }] : [];
  });
}

/**
 * The metric of a name in results, and the number in it: how many nearest, from 1 on, or a share, of which neither nothing nor all says
 * anything. undefined for a standard deviation, or one of an earlier version.
 */
export function metricNamed(name: string): WantedMetric | undefined {
  const [, text] = /@\D*(\d+(?:\.\d+)?)/.exec(name) ?? [];
  const numbers = text === undefined ? [] : [Number(text)];
  for (const metric of known) {
    const at = metric.at === undefined || metric.at.length === 0 ? [] : numbers;
    const isK = metric.of === 'search';
    if (!at.every((value) => (isK ? Number.isInteger(value) && value >= 1 : value > 0 && value < 1)))
      continue;
    if (metric.names(at).includes(name)) return { metric, at };
  }
  return undefined;
}

function unknownMetric(name: string, recallAt: readonly number[]): UserError {
  const names = known.flatMap((metric) => namesOf(metric, recallAt));
  return new UserError(
    `unknown metric '${name}'${didYouMean(name, [...groupsOfMetrics, ...names])}: expected usual, all, or some of ${known
      .flatMap((metric) => namesOf(metric, [1]))
      .join(', ')}, with other numbers too: of nearest from 1 on, of a share above 0 and below 1`,
  );
}

/**
 * The metrics that the best epoch can be chosen by, where recall is reported at these k's: a higher one is better.
 *
 * @param ofPairs of a data set that lists pairs in the place of classes
 */
export function choosingMetrics(recallAt: readonly number[], ofPairs = false): string[] {
  const chosen = known.filter(({ chooses, of }) => chooses && (of === 'listed pairs') === ofPairs);
  return chosen.flatMap((metric) => namesOf(metric, recallAt));
}

/** @throws UserError for a metric that the best epoch cannot be chosen by */
export function refuseOtherMetric(name: string, recallAt: readonly number[], ofPairs = false): void {
  const choices = choosingMetrics(recallAt, ofPairs);
  if (!choices.includes(name))
    throw new UserError(`expected one of ${choices.join(', ')} to choose the best epoch by, got '${name}'`);
}
