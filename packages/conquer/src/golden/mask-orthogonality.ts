import { scope } from '@conquer-dml/torch';
import { maskOrthogonality } from '../losses/mask-orthogonality.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readNumber,
  TOLERANCE,
  toTensor,
} from './check.js';

/** mask-orthogonality.json: the mean similarity of the masks, and its gradient. */
export const checkMaskOrthogonality: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const masks = toTensor(readGoldenTensor(item.masks, `the masks of case ${i}`), on).requiresGrad_();
      const value = maskOrthogonality(masks);
      value.backward();
      comparison.close(`${i} value`, [value.item()], [readNumber(item.value, `the value of case ${i}`)]);
      const wantGradient = readGoldenTensor(item.gradMasks, `the gradient of case ${i}`);
      comparison.close(`${i} gradient`, masks.grad?.toNumbers() ?? [], wantGradient.data);
    });
  }
  return comparison.result;
};
