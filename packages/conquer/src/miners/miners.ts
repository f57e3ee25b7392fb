import { angularMiner } from './angular.js';
import { batchEasyHard } from './batch-easy-hard.js';
import { batchHard } from './batch-hard.js';
import { distanceWeighted } from './distance-weighted.js';
import { easyPositive } from './easy-positive.js';
import { flexibleTriplets } from './flexible-triplet.js';
import { hdc } from './hdc.js';
import type { MinerPart } from './miner.js';
import { multiSimilarityMiner } from './multi-similarity.js';
import { pairMargin } from './pair-margin.js';
import { uniformHistogram } from './uniform-histogram.js';

/** The miners that an experiment can name. */
export const miners = [
  distanceWeighted,
  easyPositive,
  batchEasyHard,
  batchHard,
  pairMargin,
  multiSimilarityMiner,
  angularMiner,
  hdc,
  uniformHistogram,
  ...flexibleTriplets,
] as const satisfies readonly MinerPart[];
