import type { Division, EpochRecord, Settings, Summary } from '@conquer/run';
import type { Dataset, Split } from '../datasets/dataset.js';
import type { TrainObserver } from '../train/loop.js';

interface SplitSize {
  images: number;
  classes: number;
}

/** What `conquer train --json` prints: one of these a line. */
export type TrainEvent =
  | {
      event: 'start';
      run: string;
      data: { name: string } & Record<'train' | 'test' | 'validation' | 'gallery', SplitSize | null>;
      device: string;
      threads: number;
      settings: Settings;
    }
  | ({ event: 'division' } & Omit<Division, 'clusters'>)
  | ({ event: 'epoch'; best: boolean } & EpochRecord)
  | ({ event: 'end' } & Summary);

const sizeOf = ({ paths, classNames }: Split): SplitSize => ({
  images: paths.length,
  classes: classNames.length,
});

/** Writes a training run as lines of JSON, for programs. Epochs count from 0; -1 is the network before training. */
export class JsonLines implements TrainObserver {
  constructor(private readonly out: NodeJS.WritableStream) {}

  private write(event: TrainEvent): void {
    this.out.write(`${JSON.stringify(event)}\n`);
  }

  start(run: { run: string; dataset: Dataset; device: string; threads: number; settings: Settings }): void {
    const { dataset, ...rest } = run;
    const { name, train, test, validation, gallery } = dataset;
    const data = {
      name,
      train: sizeOf(train),
      test: sizeOf(test),
      validation: validation ? sizeOf(validation) : null,
      gallery: gallery ? sizeOf(gallery) : null,
    };
    this.write({ event: 'start', ...rest, data });
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
