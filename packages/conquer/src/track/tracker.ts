import type { Division } from '../divide/division.js';
import type { EpochRecord, RunFolder, Settings, Summary } from '../train/run-folder.js';
import type { StepRecord } from '../train/step-log.js';

/** What a tracker is told of the run it follows. */
export interface TrackedRun {
  /** The last part of the folder's path. */
  name: string;
  folder: RunFolder;
  settings: Settings;
  /** The steps that were trained before this session of the run; 0 for a new one. */
  resumedAt: number;
}

/** How a run ended; 'failed': with an error. */
export type RunEnd = 'finished' | 'stopped' | 'failed';

/**
 * A service or a file format that follows a run. Whatever it throws is told once, and the run goes on; so it needs no
 * care of its own for a server that is gone.
 */
export interface Tracker {
  /** For warnings, such as 'MLflow'. */
  readonly name: string;
  /** Whether a resumed run is told from its beginning again. */
  readonly retellsPast?: boolean;
  start(run: TrackedRun): Promise<void>;
  /** About a second of steps. @param step trained since the run began, with these */
  steps?(record: StepRecord, step: number): Promise<void>;
  division?(division: Omit<Division, 'clusters'>, step: number): Promise<void>;
  /** The end of an epoch; -1: the network before training. */
  epoch(record: EpochRecord, step: number): Promise<void>;
  /** Delivers what is under way. */
  end(how: RunEnd, summary: Summary | null): Promise<void>;
}
