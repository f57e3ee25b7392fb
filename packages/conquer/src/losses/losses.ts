import { angular } from './angular.js';
import { arcface } from './arcface.js';
import { contrastive } from './contrastive.js';
import { histogram } from './histogram.js';
import { kantorovMargin } from './kantorov-margin.js';
import type { LossPart } from './loss.js';
import { margin } from './margin.js';
import { multiClassNPair } from './multi-class-n-pair.js';
import { multiSimilarity } from './multi-similarity.js';
import { normalizedSoftmax } from './normalized-softmax.js';
import { npairs } from './npairs.js';
import { proxyAnchor } from './proxy-anchor.js';
import { proxyNca } from './proxy-nca.js';
import { snr } from './snr.js';
import { softTriple } from './soft-triple.js';
import { triplet } from './triplet.js';
import { tripletAll } from './triplet-all.js';
import { tripletSemihard } from './triplet-semihard.js';

/** The losses that an experiment can name. */
export const losses = [
  margin,
  triplet,
  tripletAll,
  tripletSemihard,
  npairs,
  kantorovMargin,
  contrastive,
  snr,
  multiClassNPair,
  angular,
  multiSimilarity,
  histogram,
  proxyNca,
  proxyAnchor,
  normalizedSoftmax,
  arcface,
  softTriple,
] as const satisfies readonly LossPart[];
