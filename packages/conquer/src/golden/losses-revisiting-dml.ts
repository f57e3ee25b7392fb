import type { Loss } from '../losses/loss.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import {
  Comparison,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readNumber,
  readObject,
  TOLERANCE,
} from './check.js';
import { compareLoss } from './losses.js';

type Case = Record<string, unknown>;

/** The losses of the ICML 2020 collection by the name in the file. */
const losses: Record<string, (options: Record<string, unknown>, item: Case) => Loss> = {
  normalizedSoftmax: (options, item) =>
    new NormalizedSoftmaxLoss({
      numClasses: readNumber(item.numClasses, 'numClasses'),
      embeddingDim: readGoldenTensor(item.embeddings, 'the embeddings').shape[1] ?? 0,
      temperature: readNumber(options.temperature, 'option temperature'),
    }),
};

/**
 * losses-revisiting-dml.json: value and gradients of the losses that exist here under the same definition. Its margin
 * loss is another one: it divides by the number of tuples with a loss, not of pairs.
 */
export const checkRevisitingLosses: GoldenCheck = (cases, precision = 'float64') => {
  const comparison = new Comparison(TOLERANCE[precision]);
  for (const [i, item] of readCases(cases).entries()) {
    const name = String(item.loss);
    const make = losses[name];
    if (!make) {
      comparison.notYet(name);
      continue;
    }
    comparison.begin();
    const loss = make(readObject(item.options, `the options of case ${i}`), item).to({ dtype: precision });
    compareLoss(comparison, `${i} ${name}`, loss, item, precision, { class_map: 'class_weights' });
  }
  return comparison.result;
};
