import { hitsWithin, precisionsWithin } from './hits-within.js';
import type { SearchMetric } from './metric.js';

/**
 * dcesml's "mean average R-precision": as MAP@R, but the sum is divided by the number of hits among the first
 * R, not by R. A query that finds one of ten images at rank 1 scores 1 here and 0.1 in MAP@R, so the two
 * cannot be compared.
 */
export const marp: SearchMetric = {
  names: () => ['mARP'],
  help: "the same, divided by the number of hits, as the TPAMI 2021 authors' code has it; higher, and not comparable",
  divisor: 'hits among the first R',
  withoutMatch: '0',
  shown: 'per cent',
  when: 'always',
  chooses: true,
  compat: 'dcesml',
  of: 'search',
  looks: 'near',
  measure: ({ ranks, relevant }) => {
    const hits = hitsWithin(ranks, relevant);
    return [hits === 0 ? 0 : precisionsWithin(ranks, relevant) / hits];
  },
};
