import { precisionsWithin } from './hits-within.js';
import type { SearchMetric } from './metric.js';

/**
 * MAP@R (Musgrave, Belongie, Lim, "A metric learning reality check", ECCV 2020): for a query whose class has
 * R other images in the gallery, (1/R) Σ_{i ≤ R} precision(i) · [neighbour i is of the class].
 */
export const mapAtR: SearchMetric = {
  names: () => ['MAP@R'],
  help: 'mean average precision at R, the images of the class to be found, divided by R',
  divisor: 'R',
  withoutMatch: '0',
  others: 'PML mean_average_precision_at_r (there without the queries that can find nothing)',
  shown: 'per cent',
  when: 'always',
  chooses: true,
  of: 'search',
  looks: 'near',
  measure: ({ ranks, relevant }) => [relevant === 0 ? 0 : precisionsWithin(ranks, relevant) / relevant],
};
