import { Comparison, type GoldenCheck, readCases, TOLERANCE } from './check.js';

/** The metrics of the ICML 2020 collection that the file holds. */
const metrics = ['f1', 'mapClass', 'map1000', 'mapAll', 'rhoSpectrum', 'distsIntra', 'distsInter'];

/** metrics-revisiting-dml.json: none of its metrics exists here yet. */
export const checkRevisitingMetrics: GoldenCheck = (cases, precision = 'float64') => {
  const comparison = new Comparison(TOLERANCE[precision]);
  for (const item of readCases(cases)) {
    for (const metric of metrics) if (item[metric] !== undefined) comparison.notYet(metric);
  }
  return comparison.result;
};
