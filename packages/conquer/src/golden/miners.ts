import { scope } from '@conquer-dml/torch';
import { negativesPerAnchor, negativeWeights } from '../miners/distance-weighted.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { batchRows } from '../rows.js';
import {
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

/** miners.json: distances, sampling weights, numbers of negatives, the tuples of the miner without chance. */
export const checkMiners: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of case ${i}`), on);
      const labels = readIndices(item.labels, `the labels of case ${i}`);
      const distances = distanceMatrix(embeddings);
      const wantDistances = readGoldenTensor(item.pairwiseDistances, `the distances of case ${i}`);
      comparison.close(`${i} distances`, distances, wantDistances.data);

      const weighted = readObject(item.distanceWeighted, `distanceWeighted of case ${i}`);
      const batch = batchRows(embeddings, labels);
      const weights = negativeWeights(batch, batch, {
        cutoff: readNumber(weighted.cutoff, 'cutoff'),
        nonZeroLossCutoff: readNumber(weighted.nonzeroLossCutoff, 'nonzeroLossCutoff'),
      });
      const wantWeights = readGoldenTensor(weighted.weights, `the weights of case ${i}`);
      comparison.close(`${i} weights`, weights, wantWeights.data);
      const wantNegatives = readNumber(weighted.negativesPerAnchor, 'negativesPerAnchor');
      comparison.same(`${i} negatives per anchor`, [negativesPerAnchor(batch, batch)], [wantNegatives]);

      const easy = readObject(item.easyPositive, `easyPositive of case ${i}`);
      const tuples = new EasyPositiveMiner({ cutoff: readNumber(easy.cutoff, 'cutoff') }).mine(batch);
      for (const part of ['anchors', 'positives', 'negatives'] as const) {
        comparison.same(`${i} easy positive ${part}`, tuples[part], readIndices(easy[part], part));
      }
    });
  }
  return comparison.result;
};
