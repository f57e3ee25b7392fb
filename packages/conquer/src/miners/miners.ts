import { batchEasyHard } from './batch-easy-hard.js';
import { distanceWeighted } from './distance-weighted.js';
import { easyPositive } from './easy-positive.js';
import { flexibleTriplets } from './flexible-triplet.js';
import type { MinerPart } from './miner.js';

/** The miners that an experiment can name. */
export const miners = [
  distanceWeighted,
  easyPositive,
  batchEasyHard,
  ...flexibleTriplets,
] as const satisfies readonly MinerPart[];
