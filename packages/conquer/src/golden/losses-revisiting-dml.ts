import { AngularLoss } from '../losses/angular.js';
import { ArcFaceLoss } from '../losses/arcface.js';
import { ContrastiveLoss } from '../losses/contrastive.js';
import { HistogramLoss } from '../losses/histogram.js';
import type { Loss } from '../losses/loss.js';
import { MarginLoss } from '../losses/margin.js';
import { MultiClassNPairLoss } from '../losses/multi-class-n-pair.js';
import { MultiSimilarityLoss } from '../losses/multi-similarity.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import { ProxyNcaLoss } from '../losses/proxy-nca.js';
import { SnrLoss } from '../losses/snr.js';
import { TripletLoss } from '../losses/triplet.js';
import { Comparison, FLOAT64, type GoldenCheck, lossCases, readSizes, TOLERANCE } from './check.js';
import { compareLoss } from './losses.js';

type Case = Record<string, unknown>;

/** The losses of the ICML 2020 collection by the name in the file. */
const losses: Record<string, (option: (name: string) => number, item: Case) => Loss> = {
  contrastive: (option) =>
    new ContrastiveLoss({ posMargin: option('posMargin'), negMargin: option('negMargin') }),
  'triplet (squared distances)': (option) =>
    new TripletLoss({ margin: option('margin'), squared: true, averageNonZeroOnly: false }),
  'margin (per-class beta)': (option, item) =>
    new MarginLoss({
      margin: option('margin'),
      beta: option('beta'),
      numClasses: readSizes(item).numClasses,
      compat: 'revisiting-dml',
    }),
  snr: (option) => new SnrLoss({ margin: option('margin'), regLambda: option('regLambda') }),
  npair: (option) => new MultiClassNPairLoss({ l2Weight: option('l2Weight') }),
  angular: (option) =>
    new AngularLoss({
      l2Weight: option('l2Weight'),
      alphaDegrees: option('alphaDegrees'),
      angularWeight: option('angularWeight'),
    }),
  multiSimilarity: (option) =>
    new MultiSimilarityLoss({
      posWeight: option('posWeight'),
      negWeight: option('negWeight'),
      margin: option('margin'),
      threshold: option('threshold'),
      averageNonZeroOnly: true,
    }),
  histogram: (option) => new HistogramLoss({ numBins: option('numBins') }),
  proxyNca: (option, item) => new ProxyNcaLoss({ ...readSizes(item), scale: option('scale') }),
  arcface: (option, item) =>
    new ArcFaceLoss({
      ...readSizes(item),
      angularMargin: option('angularMargin'),
      featureScale: option('featureScale'),
      compat: 'revisiting-dml',
    }),
  normalizedSoftmax: (option, item) =>
    new NormalizedSoftmaxLoss({ ...readSizes(item), temperature: option('temperature') }),
};

/** losses-revisiting-dml.json: value, gradient of the embeddings and of the loss's own parameters. */
export const checkRevisitingLosses: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const { place, name, item, make, number } of lossCases(cases, losses, comparison)) {
    const loss = make(number, item);
    loss.to(on);
    compareLoss(comparison, `${place} ${name}`, loss, item, on, { class_map: 'class_weights' });
  }
  return comparison.result;
};
