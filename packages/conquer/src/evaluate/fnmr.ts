import type { PairMetric } from './metric.js';

/** How many pairs of one class are told apart where so many pairs of several are taken for one: of verification. */
export const falseNonMatchRate: PairMetric = {
  names: (shares) => shares.map((share) => `FNMR@FMR${share}`),
  at: [0.1, 0.01, 0.001],
  help: 'share of the pairs of one class at least as far apart as the share FMR of the pairs of different classes is near',
  divisor: 'pairs of one class',
  withoutMatch: 'has no pair',
  others: 'OML fnmr@fmr',
  shown: 'per cent',
  when: 'named',
  chooses: false,
  of: 'pairs',
  measure: (pairs, shares) =>
    shares.map((share) => {
      const threshold = pairs.quantileOfDifferent(share);
      return threshold === null ? null : pairs.shareOfSameBeyond(threshold);
    }),
};
