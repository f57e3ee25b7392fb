import type { EpochRecord } from '@conquer-dml/run';

/** Epochs that are looked back on: a division changes how long they are. */
const RECENT = 5;

const lengthOf = ({ seconds }: EpochRecord) =>
  (seconds.train ?? 0) + (seconds.divide ?? 0) + (seconds.evaluate ?? 0);

/** Estimates how long a training run still takes, from its last epochs and from the one under way. */
export class TimeLeft {
  private recent: EpochRecord[] = [];
  private evaluation = 0;

  /** An epoch has ended; epoch -1, the network before training, tells how long an evaluation takes. */
  epochEnded(record: EpochRecord): void {
    this.evaluation = record.seconds.evaluate ?? 0;
    if (record.epoch >= 0) this.recent = [...this.recent, record].slice(-RECENT);
  }

  /**
   * @param at the epoch (from 0) of so many, its steps done, and the seconds that these took
   * @returns seconds to the end of the epoch's evaluation, and to the end of the run's last epoch
   */
  left(at: { epoch: number; epochs: number; done: number; steps: number; seconds: number }): {
    epoch: number;
    run: number;
  } {
    const training = (at.seconds / Math.max(at.done, 1)) * at.steps;
    const epoch = training - at.seconds + this.evaluation;
    const lengths = this.recent.map(lengthOf);
    const length =
      lengths.length > 0
        ? lengths.reduce((sum, seconds) => sum + seconds, 0) / lengths.length
        : training + this.evaluation;
    return { epoch, run: epoch + (at.epochs - at.epoch - 1) * length };
  }
}
