import type { Division, EpochRecord, Summary } from '@conquer-dml/run';
import type { Experiment } from '../experiment/experiment.js';
import type { DatasetSizes, TrainObserver } from '../train/observer.js';

/** What `conquer train --json` prints: one of these a line. */
export type TrainEvent =
  | {
      event: 'start';
      /** Path of its folder, as it was given. */
      run: string;
      data: DatasetSizes;
      device: string;
      threads: number;
      /** As config.json has it. */
      experiment: Experiment;
    }
  | ({ event: 'division' } & Omit<Division, 'clusters'>)
  | ({ event: 'epoch'; best: boolean } & EpochRecord)
  | ({ event: 'end' } & Summary);

/** Writes a training run as lines of JSON, for programs. Epochs count from 0; -1 is the network before training. */
export class JsonLines implements TrainObserver {
  /** @param run path of the run's folder, as it was given */
  constructor(
    private readonly out: NodeJS.WritableStream,
    private readonly run: string,
  ) {}

  private write(event: TrainEvent): void {
    this.out.write(`${JSON.stringify(event)}\n`);
  }

  onBegin(info: Parameters<NonNullable<TrainObserver['onBegin']>>[0]): void {
    const { device } = info.experiment.train;
    this.write({ event: 'start', ...info, run: this.run, device });
  }

  onDivision({ clusters: _, ...division }: Division): void {
    this.write({ event: 'division', ...division });
  }

  onEpochEnd(record: EpochRecord, best: boolean): void {
    this.write({ event: 'epoch', best, ...record });
  }

  end(summary: Summary): void {
    this.write({ event: 'end', ...summary });
  }
}
