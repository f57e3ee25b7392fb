import { scope } from '@conquer-dml/torch';
import { classDistances } from '../evaluate/class-distances.js';
import { countRelevant } from '../evaluate/count-relevant.js';
import { mapAtR } from '../evaluate/map-at-r.js';
import { meanAveragePrecision } from '../evaluate/mean-average-precision.js';
import { pairF1 } from '../evaluate/pair-f1.js';
import { singularValues, spectralDecay } from '../evaluate/spectral-decay.js';
import { nearestNeighbours } from '../neighbours/nearest.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readNumbers,
  readObject,
  TOLERANCE,
  toTensor,
} from './check.js';

/** metrics-revisiting-dml.json: the metrics of the ICML 2020 collection, which counts the query into its class. */
export const checkRevisitingMetrics: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const close = (name: string, got: number | null) =>
        comparison.close(`${i} ${name}`, [got ?? NaN], [readNumber(item[name], `${name} of case ${i}`)]);
      const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of case ${i}`), on);
      const labels = readIndices(item.labels, `the labels of case ${i}`);
      close('f1', pairF1(labels, readIndices(item.clusterAssignment, `clusterAssignment of case ${i}`)));

      const relevant = countRelevant(labels, null, { compat: 'revisiting-dml' });
      const { indices } = nearestNeighbours(embeddings, null, Math.max(...relevant));
      close('mapClass', mean(perQuery(labels, indices, relevant)));
      const [at1000, all] = meanAveragePrecision(embeddings, labels, relevant, [1000, Infinity]);
      close('map1000', at1000 ?? null);
      close('mapAll', all ?? null);

      const rho = readObject(item.rhoSpectrum, `rhoSpectrum of case ${i}`);
      const mode = (name: string, got: number) =>
        comparison.close(`${i} rho ${name}`, [got], [readNumber(rho[name], `rhoSpectrum ${name}`)]);
      mode('1', spectralDecay(embeddings));
      mode('2', spectralDecay(embeddings, { skip: 1 }));
      mode('-1', spectralDecay(embeddings, { reverse: true }));
      const values = singularValues(embeddings);
      const total = values.reduce((a, b) => a + b, 0);
      comparison.close(
        `${i} spectrum`,
        values.map((value) => value / total),
        readNumbers(rho['0'], 'rhoSpectrum 0'),
      );

      const { intra, inter } = classDistances(embeddings, labels);
      close('distsIntra', intra);
      close('distsInter', inter);
    });
  }
  return comparison.result;
};

/** MAP@R of each query, from neighbours among each other. */
function perQuery(labels: Int32Array, neighbours: Int32Array, relevant: Int32Array): number[] {
  const width = neighbours.length / labels.length;
  return Array.from(labels, (label, query) => {
    const own = neighbours.subarray(query * width, (query + 1) * width);
    const ranks = [...own].flatMap((place, at) => (labels[place] === label ? [at + 1] : []));
    return mapAtR.measure({ ranks, relevant: relevant[query]!, size: labels.length - 1 }, [])[0]!;
  });
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
