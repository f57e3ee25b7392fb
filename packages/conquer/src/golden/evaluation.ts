import { scope } from '@conquer/torch';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import { normalizedMutualInformation } from '../evaluate/nmi.js';
import {
  Comparison,
  type GoldenCheck,
  type Precision,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readObject,
  TOLERANCE,
  toTensor,
} from './check.js';

/** evaluation.json: Recall@k, dcesml's mean average R-precision, NMI of a given clustering. */
export const checkEvaluation: GoldenCheck = (cases, precision = 'float64') => {
  const comparison = new Comparison(TOLERANCE[precision]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const recall = readObject(item.recall, `recall of case ${i}`);
      const recallAt = Object.keys(recall).map(Number);
      const queries = readSet(item.query ?? item, `case ${i}`, precision);
      const gallery =
        item.gallery === undefined ? undefined : readSet(item.gallery, `gallery of case ${i}`, precision);
      const metrics = evaluateEmbeddings(queries.embeddings, queries.labels, {
        recallAt,
        nmi: false,
        gallery,
      });
      for (const k of recallAt) {
        comparison.close(`${i} R@${k}`, [metrics[`R@${k}`] ?? NaN], [readNumber(recall[k], `recall@${k}`)]);
      }
      const marp = readNumber(item.meanAverageRPrecision, `meanAverageRPrecision of case ${i}`);
      comparison.close(`${i} mARP`, [metrics.mARP ?? NaN], [marp]);
      if (item.nmi !== undefined) {
        const clusters = readIndices(item.clusterAssignment, `clusterAssignment of case ${i}`);
        const got = normalizedMutualInformation(queries.labels, clusters);
        comparison.close(`${i} NMI`, [got], [readNumber(item.nmi, `nmi of case ${i}`)]);
      }
    });
  }
  return comparison.result;
};

function readSet(value: unknown, what: string, precision: Precision) {
  const set = readObject(value, what);
  return {
    embeddings: toTensor(readGoldenTensor(set.embeddings, `the embeddings of ${what}`), precision),
    labels: readIndices(set.labels, `the labels of ${what}`),
  };
}
