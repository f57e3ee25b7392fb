import { basename } from 'node:path';
import type { Division } from '../divide/division.js';
import type { TrainObserver } from '../train/loop.js';
import type { EpochRecord, RunFolder, Summary } from '../train/run-folder.js';
import { StepLog } from '../train/step-log.js';
import type { RunEnd, Tracker } from './tracker.js';

/** Reports that may wait for a slow server; what comes beyond is left out, where it is of steps. */
const MOST_WAITING = 200;

/** Seconds that the end of a run waits for a tracker. */
const LAST_SECONDS = 60;

export interface TrackingOptions {
  run: RunFolder;
  /** Tell all that the run's log holds, whatever the tracker has been told before. */
  fromBeginning?: boolean;
  /** Told once, in a line, when the tracker fails; it is left alone from then on. */
  onWarning: (message: string) => void;
}

/** Tells a tracker what a run does, in order and in the background; nothing that it does can stop the run. */
export class Tracking implements TrainObserver {
  private queue: Promise<void> = Promise.resolve();
  private waiting = 0;
  private failed = false;
  /** Steps of the epochs that are over. */
  private before = 0;
  private stepsOfEpoch = 0;
  private log = this.newLog();

  constructor(
    private readonly tracker: Tracker,
    private readonly options: TrackingOptions,
  ) {
    const { run } = options;
    const past = run.epochs();
    const trained = past.reduce((sum, { steps = 0 }) => sum + steps, 0);
    const retell = options.fromBeginning || tracker.retellsPast;
    const resumedAt = retell ? 0 : trained;
    const settings = run.settings();
    this.tell(() => tracker.start({ name: basename(run.path), folder: run, settings, resumedAt }));
    if (retell) this.retell();
    else this.before = trained;
  }

  /** Tells all that the run's log holds. */
  private retell(): void {
    const { tracker } = this;
    const { run } = this.options;
    const [steps, divisions] = [run.steps(), run.divisions()];
    this.before = 0;
    for (const epoch of run.epochs()) {
      const start = this.before;
      for (const { clusters: _, ...division } of divisions.filter((one) => one.epoch === epoch.epoch))
        this.tell(async () => tracker.division?.(division, start));
      for (const record of steps.filter((one) => one.epoch === epoch.epoch))
        this.tell(async () => tracker.steps?.(record, start + record.step + 1));
      const end = start + (epoch.steps ?? 0);
      this.tell(() => tracker.epoch(epoch, end));
      this.before = end;
    }
  }

  onDivision({ clusters: _, ...division }: Division): void {
    const step = this.before;
    this.tell(async () => this.tracker.division?.(division, step));
  }

  onEpochStart({ steps }: { steps: number }): void {
    this.stepsOfEpoch = steps;
    this.log = this.newLog();
  }

  onStep({ epoch, step, images, result }: Parameters<NonNullable<TrainObserver['onStep']>>[0]): void {
    this.log.add({ epoch, step, steps: this.stepsOfEpoch, images }, result);
  }

  onEpochEnd(record: EpochRecord): void {
    this.before += record.steps ?? 0;
    const step = this.before;
    this.tell(() => this.tracker.epoch(record, step));
  }

  /** Waits, for a minute at most, until the tracker has taken all that there was. */
  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    this.tell(() => this.tracker.end(how, summary));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.fail(new Error(`it has not taken everything after ${LAST_SECONDS} s`));
        resolve();
      }, LAST_SECONDS * 1000);
    });
    await Promise.race([this.queue, late]);
    clearTimeout(timer);
  }

  private newLog(): StepLog {
    return new StepLog((record) => {
      if (this.waiting > MOST_WAITING) return;
      const step = this.before + record.step + 1;
      this.tell(async () => this.tracker.steps?.(record, step));
    });
  }

  private tell(say: () => Promise<void> | Promise<undefined>): void {
    this.waiting++;
    this.queue = this.queue
      .then(async () => {
        if (!this.failed) await say();
      })
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.waiting--;
      });
  }

  private fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    this.options.onWarning(`${this.tracker.name} no longer follows the run, which goes on: ${reason}`);
  }
}
