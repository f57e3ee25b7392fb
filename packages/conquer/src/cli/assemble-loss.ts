import type { Generator } from '@conquer/torch';
import { AngularLoss } from '../losses/angular.js';
import { ArcFaceLoss } from '../losses/arcface.js';
import { ContrastiveLoss } from '../losses/contrastive.js';
import { HistogramLoss } from '../losses/histogram.js';
import { KantorovMarginLoss } from '../losses/kantorov-margin.js';
import type { Loss } from '../losses/loss.js';
import { MarginLoss } from '../losses/margin.js';
import { MultiClassNPairLoss } from '../losses/multi-class-n-pair.js';
import { MultiSimilarityLoss } from '../losses/multi-similarity.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import { NPairsLoss } from '../losses/npairs.js';
import { ProxyNcaLoss } from '../losses/proxy-nca.js';
import { SnrLoss } from '../losses/snr.js';
import { SoftTripleLoss } from '../losses/soft-triple.js';
import { TripletLoss } from '../losses/triplet.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import { TripletSemihardLoss } from '../losses/triplet-semihard.js';
import type { TrainSettings } from './options.js';

/** The metric loss of these settings, on its device. */
export function lossOf(settings: TrainSettings, numClasses: number, generator: Generator): Loss {
  return newLoss(settings, numClasses, generator).to({ device: settings.device });
}

function newLoss(settings: TrainSettings, numClasses: number, generator: Generator): Loss {
  const { loss, margin, beta, nu, alpha, temperature, average, compat } = settings;
  const soft = settings.soft === 'yes';
  const averaging = average === null ? {} : { averageNonZeroOnly: average === 'non-zero' };
  const asCollection = compat === 'revisiting-dml' ? { compat } : {};
  const classes = { numClasses, embeddingDim: settings['embedding-dim'], generator };
  switch (loss) {
    case 'margin':
      return new MarginLoss({
        margin,
        beta,
        nu,
        ...(settings['beta-per-class'] === 'yes' && { numClasses }),
        compat,
      });
    case 'triplet':
      return new TripletLoss({
        margin,
        soft,
        squared: settings['squared-distances'] === 'yes',
        ...averaging,
      });
    case 'triplet-all':
      return new TripletAllLoss({ margin, ...(compat === 'dcesml' && { compat }) });
    case 'triplet-semihard':
      return new TripletSemihardLoss({ margin, soft });
    case 'npairs':
      return new NPairsLoss({ alpha });
    case 'kantorov-margin':
      return new KantorovMarginLoss({ alpha: margin, beta, distanceThreshold: settings['miner-cutoff'] });
    case 'contrastive':
      return new ContrastiveLoss({ posMargin: settings['pos-margin'], negMargin: settings['neg-margin'] });
    case 'snr':
      return new SnrLoss({ margin, regLambda: settings['snr-lambda'], ...averaging });
    case 'mc-npair':
      return new MultiClassNPairLoss();
    case 'angular':
      return new AngularLoss({
        alphaDegrees: settings['angular-alpha'],
        angularWeight: settings['angular-weight'],
      });
    case 'multi-similarity':
      return new MultiSimilarityLoss({
        posWeight: settings['ms-pos-weight'],
        negWeight: settings['ms-neg-weight'],
        margin: settings['ms-margin'],
        threshold: settings['ms-threshold'],
        ...averaging,
      });
    case 'histogram':
      return new HistogramLoss({ numBins: settings['histogram-bins'] });
    case 'proxy-nca':
      return new ProxyNcaLoss({ ...classes, scale: settings['proxy-scale'] });
    case 'normalized-softmax':
      return new NormalizedSoftmaxLoss({
        ...classes,
        temperature,
        labelSmoothing: settings['label-smoothing'],
      });
    case 'arcface':
      return new ArcFaceLoss({
        ...classes,
        angularMargin: settings['arcface-margin'],
        featureScale: settings['arcface-scale'],
        ...asCollection,
      });
    case 'soft-triple':
      return new SoftTripleLoss({
        ...classes,
        centresPerClass: settings['soft-triple-centres'],
        scale: settings['soft-triple-scale'],
        margin: settings['soft-triple-margin'],
        gamma: settings['soft-triple-gamma'],
        tau: settings['soft-triple-tau'],
      });
  }
}
