import { hitsWithin } from './hits-within.js';
import { namedOfSearch, type SearchMetric } from './metric.js';

export const precision: SearchMetric = {
  ...namedOfSearch,
  names: (ks) => ks.map((k) => `P@${k}`),
  help: 'share of the images of the class among the k nearest, of as many as there can be',
  divisor: 'min(k, R)',
  others: 'OML precision@k (there NaN without an image to be found)',
  measure: ({ ranks, relevant }, ks) =>
    ks.map((k) => (relevant === 0 ? 0 : hitsWithin(ranks, k) / Math.min(k, relevant))),
};

export const precisionOfAll: SearchMetric = {
  ...namedOfSearch,
  names: (ks) => ks.map((k) => `P@${k}/k`),
  help: 'share of the images of the class among the k nearest',
  divisor: 'k, cut to the gallery',
  others: 'torchmetrics RetrievalPrecision(adaptive_k=True)',
  measure: ({ ranks, size }, ks) =>
    ks.map((k) => (size === 0 ? 0 : hitsWithin(ranks, k) / Math.min(k, size))),
};

export const shareFound: SearchMetric = {
  ...namedOfSearch,
  names: (ks) => ks.map((k) => `P@${k}/R`),
  help: 'share of the images to be found that are among the k nearest',
  divisor: 'R',
  others: 'torchmetrics RetrievalRecall',
  measure: ({ ranks, relevant }, ks) => ks.map((k) => (relevant === 0 ? 0 : hitsWithin(ranks, k) / relevant)),
};

export const rPrecision: SearchMetric = {
  ...namedOfSearch,
  at: [],
  names: () => ['RP'],
  help: 'share of images of the class among the R nearest',
  divisor: 'R',
  others: 'PML r_precision',
  measure: ({ ranks, relevant }) => [relevant === 0 ? 0 : hitsWithin(ranks, relevant) / relevant],
};
