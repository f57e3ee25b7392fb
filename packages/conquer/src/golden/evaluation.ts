import { scope } from '@conquer-dml/torch';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import { normalizedMutualInformation } from '../evaluate/nmi.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readObject,
  TOLERANCE,
  toTensor,
} from './check.js';

/** evaluation.json: Recall@k, dcesml's mean average R-on, NMI of a given clustering. */
export const checkEvaluation: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const recall = readObject(item.recall, `recall of case ${i}`);
      const recallAt = Object.keys(recall).map(Number);
      const queries = readSet(item.query ?? item, `case ${i}`, on);
      const gallery =
        item.gallery === undefined ? undefined : readSet(item.gallery, `gallery of case ${i}`, on);
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

function readSet(value: unknown, what: string, on: Arithmetic) {
  const set = readObject(value, what);
  return {
    embeddings: toTensor(readGoldenTensor(set.embeddings, `the embeddings of ${what}`), on),
    labels: readIndices(set.labels, `the labels of ${what}`),
  };
}
