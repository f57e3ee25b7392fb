import { statSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import type { TestTimeOptions } from '../models/test-time.js';
import { BUILT_IN } from '../models/weights/built-in.js';
import { isPretrained } from '../models/weights/pretrained.js';
import type { AskedPrecision } from '../precision.js';
import { openModel } from '../retrieve/open-model.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { namingFlags } from './fill.js';
import { findRun } from './runs.js';
import { type Output, progressBar } from './terminal.js';
import { partsOf } from './train-flags.js';

export interface ModelFlags {
  /** Of a run; null: there is none to choose. */
  checkpoint: 'best' | 'last' | null;
  device?: string | undefined;
  precision?: AskedPrecision | undefined;
  /** A file of parts that the run was trained with. */
  plugin?: string | undefined;
  /** Which network the weights of a file are of. */
  arch?: string | undefined;
  /** Of a repository. */
  revision?: string | undefined;
  /** How it is used, beside what it was trained with. */
  testTime?: Partial<TestTimeOptions> | undefined;
  /** Takes what is to be said of weights that are fetched. */
  progress: Output;
}

/** The model that a command works with: of a run's folder, of a checkpoint's file, or one that was published. */
export async function modelOf(path: string, flags: ModelFlags): Promise<TrainedModel> {
  const { checkpoint, device, precision, plugin, arch, revision, testTime = {}, progress } = flags;
  const parts = plugin === undefined ? null : await partsOf(['--plugin', plugin]);
  // Only a run has two checkpoints: 'best' is what one is asked for where nothing is said.
  const chosen = checkpoint === 'best' && (isFile(path) || isPretrained(path)) ? null : checkpoint;
  const model = await namingFlags(() =>
    openModel(path, {
      ...(chosen && { checkpoint: chosen }),
      ...(device !== undefined && { device }),
      ...(precision !== undefined && { precision }),
      ...(parts && { parts }),
      ...(arch !== undefined && { arch }),
      ...(revision !== undefined && { revision }),
      onNote: (text) => void progress.write(`note: ${text}\n`),
      onPreparation: (what) => progressBar(progress, what),
    }),
  );
  try {
    return model.atTestTime(testTime);
  } catch (error) {
    model.close();
    throw error instanceof RangeError ? new UserError(`--prefix: ${error.message}`) : error;
  }
}

/**
 * What a command's model is: what was typed, where that is the name of a run its folder; where nothing was, the built-in one,
 * which is said.
 */
export function modelNamed(typed: string | undefined, progress: Output): string {
  if (typed !== undefined) return findRun(typed);
  progress.write(`note: no model is named: --model names one (conquer models lists them)\n`);
  return BUILT_IN;
}

export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
