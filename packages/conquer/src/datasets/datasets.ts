import { cars } from './cars.js';
import { csv } from './csv.js';
import { cub } from './cub.js';
import type { DatasetPart } from './dataset.js';
import { emoji, emojiTones } from './emoji.js';
import { folder } from './folder.js';
import { inshop } from './inshop.js';
import { sop } from './sop.js';
import { vehicleId } from './vehicle-id.js';

/** The data sets that an experiment can name. */
export const datasets = [
  emoji,
  emojiTones,
  folder,
  csv,
  cub,
  cars,
  sop,
  inshop,
  vehicleId,
] as const satisfies readonly DatasetPart[];
