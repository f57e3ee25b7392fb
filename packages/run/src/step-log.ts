import type { StepRecord } from './records/step.js';

/** What a step trained: its losses, null where it was skipped, and why it was. */
export interface StepOutcome {
  metricLoss: number | null;
  maskLoss: number | null;
  skipped: string | null;
  /** Images of the batch that were the anchor of no tuple; null, or not there: nothing was mined. */
  anchorsWithoutTuples?: number | null;
}

/** A line a second is what a curve can show; a line a step would fill a disk in a long run. */
const SECONDS = 1;

/** Gathers training steps into lines of about a second each. */
export class StepLog {
  private since = performance.now();
  private metricLoss = 0;
  private maskLoss = 0;
  private trained = 0;
  private skipped = 0;
  private zeroLoss = 0;
  private mined = 0;
  private withoutTuples = 0;
  private images = 0;
  private at: Pick<StepRecord, 'epoch' | 'step' | 'steps'> | null = null;

  /** @param write takes each line; the last step of an epoch always ends one */
  constructor(private readonly write: (record: StepRecord) => void) {}

  /** A pause that is no training, such as an evaluation, has passed. */
  restart(): void {
    this.since = performance.now();
  }

  add(at: { epoch: number; step: number; steps: number; images: number }, result: StepOutcome): void {
    if (result.skipped === null) {
      this.trained++;
      if (result.metricLoss === 0) this.zeroLoss++;
      this.metricLoss += result.metricLoss ?? 0;
      this.maskLoss += result.maskLoss ?? 0;
    } else {
      this.skipped++;
    }
    const { anchorsWithoutTuples = null } = result;
    if (anchorsWithoutTuples !== null) {
      this.mined += at.images;
      this.withoutTuples += anchorsWithoutTuples;
    }
    this.images += at.images;
    this.at = { epoch: at.epoch, step: at.step, steps: at.steps };
    if (this.seconds() >= SECONDS || at.step + 1 >= at.steps) this.end();
  }

  /** Ends the line that is under way, if any. */
  end(): void {
    if (this.at === null) return;
    const mean = (sum: number) => (this.trained > 0 ? sum / this.trained : null);
    this.write({
      ...this.at,
      metricLoss: mean(this.metricLoss),
      maskLoss: mean(this.maskLoss),
      imagesPerSecond: this.images / Math.max(this.seconds(), 1e-9),
      skipped: this.skipped,
      zeroLoss: this.zeroLoss,
      ...(this.mined > 0 && { anchorsWithoutTuples: this.withoutTuples / this.mined }),
    });
    this.metricLoss = this.maskLoss = this.trained = this.skipped = this.images = 0;
    this.zeroLoss = this.mined = this.withoutTuples = 0;
    this.at = null;
    this.restart();
  }

  private seconds(): number {
    return (performance.now() - this.since) / 1000;
  }
}
