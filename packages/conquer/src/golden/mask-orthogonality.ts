import { scope } from '@conquer/torch';
import { maskOrthogonality } from '../losses/mask-orthogonality.js';
import {
  Comparison,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readNumber,
  TOLERANCE,
  toTensor,
} from './check.js';

/** mask-orthogonality.json: the mean similarity of the masks, and its gradient. */
export const checkMaskOrthogonality: GoldenCheck = (cases, precision = 'float64') => {
  const comparison = new Comparison(TOLERANCE[precision]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const masks = toTensor(
        readGoldenTensor(item.masks, `the masks of case ${i}`),
        precision,
      ).requiresGrad_();
      const value = maskOrthogonality(masks);
      value.backward();
      comparison.close(`${i} value`, [value.item()], [readNumber(item.value, `the value of case ${i}`)]);
      const wantGradient = readGoldenTensor(item.gradMasks, `the gradient of case ${i}`);
      comparison.close(`${i} gradient`, masks.grad?.toNumbers() ?? [], wantGradient.data);
    });
  }
  return comparison.result;
};
