import { reassignClusters } from '../divide/reassign.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  TOLERANCE,
} from './check.js';

/** reassign.json: the costs, and the new labels, correct and as dcesml gives them. Integers throughout. */
export const checkReassign: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    const previous = readIndices(item.previous, `previous of case ${i}`);
    const current = readIndices(item.current, `current of case ${i}`);
    const numClusters = readNumber(item.numClusters, `numClusters of case ${i}`);
    const correct = reassignClusters(previous, current, numClusters);
    const compatible = reassignClusters(previous, current, numClusters, { compat: 'dcesml' });
    comparison.close(`${i} costs`, correct.costs, readGoldenTensor(item.costs, `costs of case ${i}`).data);
    comparison.same(`${i} reassigned`, correct.clusters, readIndices(item.reassigned, 'reassigned'));
    const wanted = readIndices(item.reassignedDcesml, 'reassignedDcesml');
    comparison.same(`${i} reassigned as dcesml`, compatible.clusters, wanted);
  }
  return comparison.result;
};
