import { basename } from 'node:path';
import type { Division, EpochRecord, RunFolder, StepRecord, Summary } from '@conquer-dml/run';
import { loggedReports, type Report, stepsOfWholeEpochs } from './report.js';
import type { RunEnd, Tracker } from './tracker.js';

/** Reports that may wait for a slow server; what comes beyond is left out, where it is of steps. */
const MOST_WAITING = 200;

/** Seconds that the end of a run waits for a tracker. */
const LAST_SECONDS = 60;

export interface TrackingOptions {
  run: RunFolder;
  /** Told once, in a line, when the tracker fails; it is left alone from then on. */
  onWarning: (message: string) => void;
  /** Told, in a line, what else the user should know; by default `onWarning` is. */
  onNote?: (message: string) => void;
}

/** Tells a tracker what a run does, in order and in the background; nothing that it does can stop the run. */
export class Tracking {
  private queue: Promise<void> = Promise.resolve();
  private waiting = 0;
  private leftOut = 0;
  private started = false;
  private failed = false;
  /** Steps of the epochs that are over. */
  private before = 0;

  constructor(
    private readonly tracker: Tracker,
    private readonly options: TrackingOptions,
  ) {}

  onStart(): void {
    this.start(true);
  }

  /** Tells of a run that does not go on: all that its log holds. */
  tellPast(): void {
    this.start(false);
  }

  private start(live: boolean): void {
    const { run } = this.options;
    this.started = true;
    let past: Report[];
    try {
      past = loggedReports(run);
      this.before = stepsOfWholeEpochs(run);
    } catch (error) {
      this.fail(error);
      return;
    }
    const settings = run.settings();
    const onNote = (message: string) => this.note(`${this.tracker.name}: ${message}`);
    this.tell(() =>
      this.tracker.start({ name: basename(run.path), folder: run, settings, past, live, onNote }),
    );
  }

  onDivision({ clusters: _, ...record }: Division): void {
    this.report({ kind: 'division', record, step: this.before });
  }

  onSteps(record: StepRecord): void {
    if (this.waiting > MOST_WAITING) this.leftOut++;
    else this.report({ kind: 'steps', record, step: this.before + record.step + 1 });
  }

  onEpochEnd(record: EpochRecord): void {
    this.before += record.steps ?? 0;
    this.report({ kind: 'epoch', record, step: this.before });
  }

  /** Waits, for a minute at most, until the tracker has taken all that there was. */
  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    if (!this.started) return;
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
    if (this.leftOut > 0 && !this.failed)
      this.note(
        `${this.tracker.name} was slower than the run: ${this.leftOut} lines of steps were left out; conquer sync tells it of them`,
      );
  }

  private report(report: Report): void {
    this.tell(() => this.tracker.report(report));
  }

  private tell(say: () => Promise<void>): void {
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

  private note(message: string): void {
    const { onWarning, onNote = onWarning } = this.options;
    onNote(message);
  }

  private fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    this.options.onWarning(`${this.tracker.name} no longer follows the run, which goes on: ${reason}`);
  }
}
