import { type Division, type EpochRecord, RunFolder, type StepRecord, type Summary } from '@conquer-dml/run';
import type { RunEnd, Tracker } from '../track/tracker.js';
import { Tracking } from '../track/tracking.js';
import type { TrainObserver } from '../train/observer.js';

/** Trackers that follow a run from its beginning to its end. */
export class Followers implements TrainObserver {
  private trackings: Tracking[] = [];

  /** @param warn told in a line what goes wrong with one */
  constructor(
    private readonly trackers: readonly Tracker[],
    private readonly warn: (message: string) => void,
  ) {}

  onBegin({ run: path }: { run: string }): void {
    const { warn } = this;
    const run = RunFolder.open(path);
    this.trackings = this.trackers.map((tracker) => new Tracking(tracker, { run, onWarning: warn }));
  }

  onStart(): void {
    for (const tracking of this.trackings) tracking.onStart();
  }

  onDivision(division: Division): void {
    for (const tracking of this.trackings) tracking.onDivision(division);
  }

  onSteps(record: StepRecord): void {
    for (const tracking of this.trackings) tracking.onSteps(record);
  }

  onEpochEnd(record: EpochRecord): void {
    for (const tracking of this.trackings) tracking.onEpochEnd(record);
  }

  /** Waits until they have taken all that there was, see Tracking. */
  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    await Promise.all(this.trackings.map((tracking) => tracking.end(how, summary)));
  }
}
