import { cars } from './cars.js';
import { csv } from './csv.js';
import { cub } from './cub.js';
import type { DatasetPart } from './dataset.js';
import { emoji, emojiTones } from './emoji.js';
import { folder } from './folder.js';
import { inshop } from './inshop.js';
import { market1501 } from './market-1501.js';
import { msmt17 } from './msmt17.js';
import { pairs } from './pairs.js';
import { parquet } from './parquet.js';
import { sop } from './sop.js';
import { vehicleId } from './vehicle-id.js';
import { veri } from './veri.js';
import { webdataset } from './webdataset.js';

/** The data sets that an experiment can name. */
export const datasets = [
  emoji,
  emojiTones,
  folder,
  csv,
  webdataset,
  parquet,
  pairs,
  cub,
  cars,
  sop,
  inshop,
  vehicleId,
  market1501,
  msmt17,
  veri,
] as const satisfies readonly DatasetPart[];
