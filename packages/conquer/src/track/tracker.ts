import type { RunFolder, Settings, Summary } from '@conquer-dml/run';
import type { AnyPart } from '../part.js';
import type { Report } from './report.js';

/** What a tracker is told of the run it follows. */
export interface TrackedRun {
  /** The last part of the folder's path. */
  name: string;
  folder: RunFolder;
  settings: Settings;
  /**
   * All that the run's log holds so far. What the tracker was told before and is not in it is no longer so: the run went
   * back to an earlier checkpoint.
   */
  past: readonly Report[];
  /** Whether the run goes on; false: it is told afterwards. */
  live: boolean;
  /** Takes a line about what the user should know. */
  onNote: (message: string) => void;
}

/** How a run ended; 'failed': with an error. */
export type RunEnd = 'finished' | 'stopped' | 'failed';

/**
 * A service or a file format that follows a run. After `start` it holds `past` and nothing else, however often it was told
 * before. Whatever it throws is told once, and the run goes on; so it needs no care of its own for a server that is gone.
 */
export interface Tracker {
  /** For warnings, such as 'MLflow'. */
  readonly name: string;
  start(run: TrackedRun): Promise<void>;
  /** One more line of the log. */
  report(report: Report): Promise<void>;
  /** Delivers what is under way. */
  end(how: RunEnd, summary: Summary | null): Promise<void>;
}

/** What is known when an experiment's tracker is built: nothing that it needs. */
export type TrackerContext = Readonly<Record<never, never>>;

/** A tracker as an experiment names it. What speaks to its service is loaded when it starts. */
export type TrackerPart = AnyPart<TrackerContext, Tracker>;
