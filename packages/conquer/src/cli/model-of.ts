import { statSync } from 'node:fs';
import { openModel } from '../retrieve/open-model.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { namingFlags } from './fill.js';
import { partsOf } from './train-flags.js';

export interface ModelFlags {
  /** Of a run; null: there is none to choose. */
  checkpoint: 'best' | 'last' | null;
  device?: string | undefined;
  /** A file of parts that the run was trained with. */
  plugin?: string | undefined;
}

/** The model that a command works with: of a run's folder, or of a checkpoint's file. */
export async function modelOf(
  path: string,
  { checkpoint, device, plugin }: ModelFlags,
): Promise<TrainedModel> {
  const parts = plugin === undefined ? null : await partsOf(['--plugin', plugin]);
  // A file has the weights that it has: 'best' is what a run is asked for where nothing is said.
  const chosen = checkpoint === 'best' && isFile(path) ? null : checkpoint;
  return await namingFlags(() =>
    openModel(path, {
      ...(chosen && { checkpoint: chosen }),
      ...(device !== undefined && { device }),
      ...(parts && { parts }),
    }),
  );
}

export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
