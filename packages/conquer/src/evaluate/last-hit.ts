import type { SearchMetric } from './metric.js';

const shared = {
  withoutMatch: '0',
  shown: 'per cent',
  chooses: false,
  of: 'search',
  looks: 'everywhere',
} as const satisfies Partial<SearchMetric>;

/** Ye et al., "Deep learning for person re-identification: a survey and outlook", TPAMI 2021. */
export const meanInverseNegativePenalty: SearchMetric = {
  ...shared,
  names: () => ['mINP'],
  help: 'mean inverse negative penalty: R by the rank of the last image to be found (Ye et al. 2021)',
  divisor: 'the rank of the last hit',
  others: 'fast-reid mINP',
  when: 'all',
  measure: ({ ranks, relevant }) => [relevant === 0 ? 0 : relevant / ranks[ranks.length - 1]!],
};

export const meanReciprocalRank: SearchMetric = {
  ...shared,
  names: () => ['MRR'],
  help: 'mean reciprocal rank of the first hit',
  divisor: 'the rank of the first hit',
  others: 'PML mean_reciprocal_rank, torchmetrics RetrievalMRR',
  when: 'named',
  measure: ({ ranks }) => [ranks.length === 0 ? 0 : 1 / ranks[0]!],
};
