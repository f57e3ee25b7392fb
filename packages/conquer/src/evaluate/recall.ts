import type { SearchMetric } from './metric.js';

const shared = {
  at: 'recall',
  divisor: 'the queries',
  withoutMatch: 'a miss, 0',
  shown: 'per cent',
  of: 'search',
  looks: 'near',
  measure: ({ ranks }, ks) => ks.map((k) => Number(ranks.length > 0 && ranks[0]! <= k)),
} as const satisfies Partial<SearchMetric>;

export const recall: SearchMetric = {
  ...shared,
  names: (ks) => ks.map((k) => `R@${k}`),
  help: 'share of the queries with an image of their class among the k nearest',
  others: 'OML cmc@k, torchmetrics HitRate; R@1: PML precision_at_1',
  when: 'always',
  chooses: true,
};

export const cmc: SearchMetric = {
  ...shared,
  names: (ks) => ks.map((k) => `CMC@${k}`),
  help: 'R@k, as re-identification calls it: cumulative matching characteristic',
  others: 'OML cmc@k',
  when: 'named',
  chooses: false,
};
