import { hitsWithin, precisionsWithin } from './hits-within.js';
import { namedOfSearch, type SearchMetric } from './metric.js';

// One sum, Σ over the hits among the first k of the precision there, and what libraries divide it by.

const shared = { ...namedOfSearch, looks: 'near in order' } as const;

export const mapOfFound: SearchMetric = {
  ...shared,
  names: (ks) => ks.map((k) => `MAP@${k}/found`),
  help: 'mean average precision of the k nearest, divided by the hits among them: to find fewer can only raise it',
  divisor: 'hits among the first k (0 without one)',
  others: 'OML map@k, torchmetrics RetrievalMAP(top_k=k)',
  measure: ({ ranks }, ks) =>
    ks.map((k) => {
      const hits = hitsWithin(ranks, k);
      return hits === 0 ? 0 : precisionsWithin(ranks, k) / hits;
    }),
};

export const mapOfRelevant: SearchMetric = {
  ...shared,
  names: (ks) => ks.map((k) => `MAP@${k}/R`),
  help: 'mean average precision of the k nearest, divided by all images to be found, also those that k leaves no room for',
  divisor: 'R',
  others: 'PML mean_average_precision with k (there without the queries that can find nothing)',
  measure: ({ ranks, relevant }, ks) =>
    ks.map((k) => (relevant === 0 ? 0 : precisionsWithin(ranks, k) / relevant)),
};

export const mapAtK: SearchMetric = {
  ...shared,
  at: [1000],
  names: (ks) => ks.map((k) => `MAP@${k}`),
  help: 'mean average precision of the k nearest: Σ precision at each hit',
  divisor: 'min(k, R)',
  when: 'all',
  looks: 'everywhere',
  measure: ({ ranks, relevant }, ks) =>
    ks.map((k) => (relevant === 0 ? 0 : precisionsWithin(ranks, k) / Math.min(k, relevant))),
};

export const meanAveragePrecisionOfAll: SearchMetric = {
  ...shared,
  at: [],
  names: () => ['MAP'],
  help: 'mean average precision of the whole ranking: Σ precision at each hit',
  divisor: 'R',
  others: 'mAP of re-identification (torchreid, fast-reid)',
  when: 'all',
  looks: 'everywhere',
  measure: ({ ranks, relevant }) => [relevant === 0 ? 0 : precisionsWithin(ranks, Infinity) / relevant],
};
