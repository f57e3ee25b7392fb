import { z } from 'zod';

/** Of a loss that reads the whole batch, or the pairs that a miner chooses of it. */
export const minedOption = z.boolean().default(false).describe("take the miner's pairs alone, not all pairs");

/** Of a loss with something to learn for each class. */
export const weighedOption = z
  .boolean()
  .default(false)
  .describe("weigh each image by how often the miner's pairs have it");
