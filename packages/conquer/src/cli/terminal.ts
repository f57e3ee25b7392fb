import { Writable } from 'node:stream';
import type { Division, EpochRecord } from '@conquer-dml/run';
import { Presets, SingleBar } from 'cli-progress';
import type { TrainObserver } from '../train/observer.js';
import { profileTable } from './profile-table.js';
import { TimeLeft } from './time-left.js';

/** Where the program prints; a stream with `isTTY` gets progress bars, others one plain line an event. */
export type Output = NodeJS.WriteStream | NodeJS.WritableStream;

const percent = (fraction: number | undefined) =>
  fraction === undefined ? '–' : `${(100 * fraction).toFixed(1)} %`;

/** 75 → '1:15'. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = String(s).padStart(2, '0');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${padded}` : `${m}:${padded}`;
}

/** Share of anchors without a tuple that is worth a line. */
const SHOWN_FROM = 0.01;
const COLLAPSED =
  'the embedding has collapsed: all test images lie within a hundredth of one point. Usual causes: a learning rate ' +
  'that is too high (--lr), a loss that only pulls (margin or beta too large, a miner that finds no negatives), ' +
  'weights that do not belong to the network, images that are all alike';

const range = (values: readonly number[]) => {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? `${low}` : `${low}–${high}`;
};

function divisionLine(division: Division): string[] {
  const { numClusters, sizes, classCounts, leftOut, moved } = division;
  const each = sizes.map((size, k) => `${size} images of ${classCounts[k]} classes`);
  const detail =
    numClusters <= 4 ? each.join(', ') : `${range(sizes)} images of ${range(classCounts)} classes each`;
  const extra = [
    moved > 0 && `${moved} moved`,
    leftOut > 0 && `${leftOut} left out, alone of their class`,
  ].filter(Boolean);
  const tail = extra.length > 0 ? ` (${extra.join('; ')})` : '';
  const clusters = numClusters === 1 ? '1 cluster' : `${numClusters} clusters`;
  return [`  divided into ${clusters}: ${detail}${tail}`, ...division.notes.map((note) => `  note: ${note}`)];
}

/** Prints what a training run does: a bar an epoch, a line a division, a line an evaluation. */
export class TerminalObserver implements Required<Omit<TrainObserver, 'onBegin' | 'onStart' | 'onSteps'>> {
  private readonly out: Output;
  private bar: SingleBar | null = null;
  private epochStart = 0;
  private images = 0;
  private loss = 0;
  private maskLoss = 0;
  private trained = 0;
  /** Batches whose loss was 0: nothing was learnt from them either. */
  private solved = 0;
  private skipReasons = new Map<string, number>();
  private preparing: { what: string; tell: ReturnType<typeof progressBar> } | null = null;
  private head = '';
  private at = { epoch: 0, epochs: 1, steps: 1 };
  private readonly time = new TimeLeft();

  /**
   * @param bestBy the metric by which the best epoch is chosen
   * @param inWords a note in the words of who reads it
   */
  constructor(
    out: Output,
    private readonly bestBy = 'R@1',
    private readonly inWords = (text: string) => text,
  ) {
    this.out = out;
  }

  private get interactive(): boolean {
    return 'isTTY' in this.out && this.out.isTTY === true;
  }

  private get columns(): number {
    return ('columns' in this.out && this.out.columns) || 80;
  }

  private line(text: string): void {
    this.clear();
    this.out.write(`${text}\n`);
  }

  private clear(): void {
    this.bar?.stop();
    this.bar = null;
  }

  /** A bar that vanishes when the next thing begins. */
  private open(format: string, total: number): SingleBar | null {
    this.clear();
    if (!this.interactive) return null;
    this.bar = new SingleBar(
      {
        format,
        stream: this.out as NodeJS.WriteStream,
        clearOnComplete: true,
        hideCursor: true,
        barsize: Math.max(4, Math.min(24, (this.columns - 76) >> 1)),
        fps: 5,
        linewrap: false, // what a narrow terminal has no room for is cut off
      },
      Presets.shades_classic,
    );
    this.bar.start(total, 0, { loss: '', rate: '–', left: '–', run: '–' });
    return this.bar;
  }

  /** A bar of its own for each preparation. */
  onPreparation({ what, done, total }: { what: string; done: number; total: number }): void {
    if (this.preparing?.what !== what) this.preparing = { what, tell: progressBar(this.out, what) };
    this.preparing.tell({ done, total });
  }

  onDivision(division: Division): void {
    for (const text of divisionLine(division)) this.line(text);
  }

  onEpochStart(info: {
    epoch: number;
    epochs: number;
    steps: number;
    numLearners: number;
    fullEmbedding: boolean;
  }): void {
    const learners = info.fullEmbedding
      ? 'whole embedding'
      : info.numLearners === 1
        ? '1 learner'
        : `${info.numLearners} learners`;
    this.head = `epoch ${String(info.epoch + 1).padStart(String(info.epochs).length)}/${info.epochs}  ${learners}`;
    this.at = info;
    this.epochStart = performance.now();
    this.images = 0;
    this.loss = 0;
    this.maskLoss = 0;
    this.trained = 0;
    this.solved = 0;
    this.skipReasons = new Map();
    const epoch = `epoch ${info.epoch + 1}/${info.epochs}`;
    const left = 'left {left}, of the run {run}';
    this.open(`${epoch} {bar} {value}/{total}  {loss}  {rate} images/s  ${left}`, info.steps);
  }

  onStep({ images, result }: Parameters<NonNullable<TrainObserver['onStep']>>[0]): void {
    this.images += images;
    if (result.skipped === null) {
      this.trained++;
      if (result.metricLoss === 0) this.solved++;
      this.loss += result.metricLoss ?? 0;
      this.maskLoss += result.maskLoss ?? 0;
    } else {
      this.skipReasons.set(result.skipped, (this.skipReasons.get(result.skipped) ?? 0) + 1);
    }
    if (!this.bar) return;
    const seconds = (performance.now() - this.epochStart) / 1000;
    const { bar } = this;
    const done = (bar.getProgress() * bar.getTotal() || 0) + 1;
    const left = this.time.left({ ...this.at, done, seconds });
    bar.update(Math.round(done), {
      loss: this.losses(),
      rate: (this.images / seconds).toFixed(0),
      left: formatSeconds(left.epoch),
      run: formatSeconds(left.run),
    });
  }

  private losses(): string {
    const mean = (sum: number) => (sum / Math.max(this.trained, 1)).toFixed(3);
    return this.maskLoss > 0 ? `loss ${mean(this.loss)} + ${mean(this.maskLoss)}` : `loss ${mean(this.loss)}`;
  }

  onEmbed({ purpose, done, total }: { purpose: 'divide' | 'evaluate'; done: number; total: number }): void {
    if (!this.interactive) return;
    const format = `  ${purpose === 'divide' ? 'dividing' : 'evaluating'}: {bar} {value}/{total} images embedded`;
    const bar = this.bar?.getTotal() === total && done > 0 ? this.bar : this.open(format, total);
    bar?.update(done);
    if (done >= total) this.clear();
  }

  onEpochEnd(record: EpochRecord, best: boolean): void {
    const { metrics, seconds } = record;
    this.time.epochEnded(record);
    const { bestBy } = this;
    const scores = metrics
      ? `  ${[...new Set(['R@1', 'MAP@R', 'NMI', bestBy])].map((name) => `${name} ${percent(metrics[name])}`).join('  ')}` +
        (record.validation ? `  validation ${bestBy} ${percent(record.validation[bestBy])}` : '')
      : '';
    if (record.epoch < 0) {
      this.line(`untrained${scores}`);
      if (record.collapsed) this.onWarning(COLLAPSED);
      return;
    }
    for (const [reason, count] of this.skipReasons)
      this.line(`  ${count} of ${record.steps} batches skipped: ${reason}`);
    if (this.solved > 0)
      this.line(
        `  ${this.solved} of ${record.steps} batches had a loss of 0: nothing in them is left to learn`,
      );
    const { anchorsWithoutTuples: without = 0 } = record;
    if (without >= SHOWN_FROM)
      this.line(`  ${(100 * without).toFixed(0)} % of the images were the anchor of no tuple`);
    const rate = ((record.images ?? 0) / Math.max(seconds.train ?? 0, 1e-9)).toFixed(0);
    const time = formatSeconds((seconds.train ?? 0) + (seconds.divide ?? 0) + (seconds.evaluate ?? 0));
    this.line(`${this.head}  ${this.losses()}  ${rate} images/s  ${time}${scores}${best ? '  best' : ''}`);
    if (record.collapsed) this.onWarning(COLLAPSED);
    if (record.profile) this.line(profileTable(record.profile));
  }

  onWarning(text: string): void {
    this.line(`  warning: ${this.inWords(text)}`);
  }

  onNote(text: string): void {
    this.line(`  note: ${this.inWords(text)}`);
  }

  /** Ends a bar that an error or an interruption left on the screen. */
  end(): void {
    this.clear();
  }
}

/** Seconds between lines of a long preparation where there is no terminal. */
const QUIET = 60;

/** A bar with the time left for one long preparation, such as decoding; where there is no terminal a line, and one each minute. */
export function progressBar(out: Output, what: string): (progress: { done: number; total: number }) => void {
  let bar: SingleBar | null = null;
  let started = false;
  let [begun, told] = [0, 0];
  return ({ done, total }) => {
    if (!started) {
      started = true;
      begun = told = performance.now();
      if (done >= total) return;
      if ('isTTY' in out && out.isTTY) {
        bar = new SingleBar(
          {
            format: `${what}: {bar} {value}/{total}, left {left}`,
            stream: out as NodeJS.WriteStream,
            clearOnComplete: true,
            hideCursor: true,
            barsize: 24,
            fps: 5,
          },
          Presets.shades_classic,
        );
        bar.start(total, done, { left: '–' });
      } else {
        out.write(`${what}: ${total}\n`);
      }
    }
    const now = performance.now();
    const left = done > 0 ? formatSeconds(((now - begun) / 1000) * (total / done - 1)) : '–';
    bar?.update(done, { left });
    if (!bar && done < total && now - told > 1000 * QUIET) {
      told = now;
      out.write(`${what}: ${done} of ${total}, ${left} left\n`);
    }
    if (done >= total) {
      bar?.stop();
      bar = null;
    }
  };
}

/** Where the first of several processes says how far it is; the others say nothing. */
export const outputOf = (isFirst: boolean): Output =>
  isFirst ? process.stderr : new Writable({ write: (_, __, done) => done() });
