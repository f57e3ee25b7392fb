import { angular } from './angular.js';
import { arcface } from './arcface.js';
import { centre } from './centre.js';
import { centroidTriplet } from './centroid-triplet.js';
import { circle } from './circle.js';
import { contrastive } from './contrastive.js';
import { cosface } from './cosface.js';
import { embeddingNorm } from './embedding-norm.js';
import { fastAp } from './fast-ap.js';
import { histogram } from './histogram.js';
import { hyperbolicPairwise } from './hyperbolic-pairwise.js';
import { kantorovMargin } from './kantorov-margin.js';
import { koleo } from './koleo.js';
import type { LossPart } from './loss.js';
import { margin } from './margin.js';
import { multiClassNPair } from './multi-class-n-pair.js';
import { multiSimilarity } from './multi-similarity.js';
import { normalizedSoftmax } from './normalized-softmax.js';
import { npairs } from './npairs.js';
import { ntXent } from './nt-xent.js';
import { pairContrastive } from './pair-contrastive.js';
import { potentialField } from './potential-field.js';
import { proxyAnchor } from './proxy-anchor.js';
import { proxyNca } from './proxy-nca.js';
import { rankedList } from './ranked-list.js';
import { recallAtK } from './recall-at-k.js';
import { roadmap } from './roadmap.js';
import { smoothAp } from './smooth-ap.js';
import { snr } from './snr.js';
import { softTriple } from './soft-triple.js';
import { subCentreArcface } from './sub-centre-arcface.js';
import { supCon } from './sup-con.js';
import { thresholdConsistentMargin } from './threshold-consistent-margin.js';
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
  pairContrastive,
  multiSimilarity,
  histogram,
  proxyNca,
  proxyAnchor,
  normalizedSoftmax,
  arcface,
  softTriple,
  circle,
  supCon,
  ntXent,
  cosface,
  subCentreArcface,
  fastAp,
  smoothAp,
  recallAtK,
  roadmap,
  rankedList,
  centroidTriplet,
  hyperbolicPairwise,
  potentialField,
  thresholdConsistentMargin,
  embeddingNorm,
  centre,
  koleo,
] as const satisfies readonly LossPart[];
