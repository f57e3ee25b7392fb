import { z } from 'zod';
import { part } from '../part.js';
import { BatchEasyHardMiner } from './batch-easy-hard.js';

/** Batch hard (Hermans, Beyer, Leibe, "In defense of the triplet loss", arXiv 1703.07737): see BatchEasyHardMiner. */
export const batchHard = part({
  name: 'batch-hard',
  help: 'for each anchor its farthest positive and its nearest negative (Hermans et al. 2017)',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options: z.strictObject({}),
  build: () => new BatchEasyHardMiner({ positive: 'hard', negative: 'hard' }),
});
