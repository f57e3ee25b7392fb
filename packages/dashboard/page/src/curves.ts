import type { DivisionView, EpochRecord, RunDetail } from '../../src/api.js';
import { categorical } from './colours.js';

/** A line of a chart. */
export interface Series {
  run: string;
  /** Of several lines of one run: which. */
  name: string;
  label: string;
  colour: string;
  dash: number[];
  x: number[];
  y: (number | null)[];
}

export interface ChartSpec {
  id: string;
  title: string;
  /** How values are written, on the axis too. */
  format: 'percent' | 'number';
  /** Axis in powers of ten. */
  log: boolean;
  series: Series[];
}

/** A division: where it lies on the time axis, and how many learners there are from then on. */
export interface Mark {
  run: string;
  colour: string;
  x: number;
  epoch: number;
  learners: number;
}

export type Axis = 'epoch' | 'step';

export interface CurvesOptions {
  axis: Axis;
  /** Which of 'R@1', 'R@2', … */
  recalls: readonly string[];
  colourOf: (run: string) => string;
}

const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4], [14, 4], [1, 2]];

/** Names of the recalls that any of the runs has, by k. */
export function recallNames(runs: readonly RunDetail[]): string[] {
  const names = new Set(
    runs.flatMap(({ records }) => records.flatMap(({ metrics }) => Object.keys(metrics ?? {}))),
  );
  return [...names]
    .filter((name) => /^R@\d+$/.test(name))
    .sort((a, b) => Number(a.slice(2)) - Number(b.slice(2)));
}

/** All charts of those runs; those that nothing can be drawn in are left out. */
export function charts(runs: readonly RunDetail[], options: CurvesOptions): ChartSpec[] {
  const lines = runs.map((run) => new RunLines(run, options, runs.length > 1));
  const chart = (
    id: string,
    title: string,
    format: ChartSpec['format'],
    of: (run: RunLines) => Series[],
  ) => ({
    id,
    title,
    format,
    log: id === 'learning-rates',
    series: lines.flatMap(of).filter(({ y }) => y.some((value) => value !== null)),
  });
  return [
    chart('metric-loss', 'Metric loss', 'number', (run) => [run.steps('metricLoss')]),
    chart('mask-loss', 'Mask loss', 'number', (run) => [run.steps('maskLoss')]),
    chart('recall', 'Recall@k', 'percent', (run) => run.metrics(options.recalls)),
    chart('map-at-r', 'MAP@R', 'percent', (run) => run.metrics(['MAP@R'])),
    chart('nmi', 'NMI', 'percent', (run) => run.metrics(['NMI'])),
    chart('learning-rates', 'Learning rates by group', 'number', (run) => run.learningRates()),
    chart('images', 'Training images a second', 'number', (run) => [run.steps('imagesPerSecond')]),
  ].filter(({ series }) => series.length > 0) as ChartSpec[];
}

export function marks(run: RunDetail, { axis, colourOf }: Pick<CurvesOptions, 'axis' | 'colourOf'>): Mark[] {
  const place = timeAxis(run, axis);
  return run.divisions.map(({ epoch, numClusters }: DivisionView) => ({
    run: run.id,
    colour: colourOf(run.id),
    x: place(epoch, 0),
    epoch,
    learners: numClusters,
  }));
}

/**
 * Where an epoch's share of steps lies: epoch 0 reaches from 0 to 1 epochs, or from step 0 to as many as it has.
 * What is measured after an epoch lies at its end.
 */
function timeAxis(run: RunDetail, axis: Axis): (epoch: number, share: number) => number {
  if (axis === 'epoch') return (epoch, share) => epoch + share;
  const steps = new Map<number, number>();
  for (const record of run.records) if (record.steps) steps.set(record.epoch, record.steps);
  for (const step of run.steps) steps.set(step.epoch, step.steps);
  const last = Math.max(-1, ...steps.keys());
  const starts = [0];
  for (let epoch = 0; epoch <= last; epoch++)
    starts.push((starts[epoch] as number) + (steps.get(epoch) ?? 0));
  return (epoch, share) => {
    const start = starts[Math.min(epoch, starts.length - 1)] ?? 0;
    return Math.round(start + share * (steps.get(epoch) ?? 0));
  };
}

class RunLines {
  private readonly place: (epoch: number, share: number) => number;

  constructor(
    private readonly run: RunDetail,
    private readonly options: CurvesOptions,
    /** Then colour tells runs apart, and dashes the lines of one run. */
    private readonly overlaid: boolean,
  ) {
    this.place = timeAxis(run, options.axis);
  }

  /** From the step log where there is one, else means of epochs. */
  steps(key: 'metricLoss' | 'maskLoss' | 'imagesPerSecond'): Series {
    const name = { metricLoss: 'metric loss', maskLoss: 'mask loss', imagesPerSecond: 'images/s' }[key];
    const { steps, records } = this.run;
    if (steps.length > 0) {
      const points = steps.map(
        (step) => [this.place(step.epoch, (step.step + 1) / step.steps), step[key]] as const,
      );
      return this.series(name, 0, points);
    }
    const trained = records.filter(({ epoch }) => epoch >= 0);
    return this.series(
      name,
      0,
      trained.map((record) => [this.place(record.epoch, 1), ofEpoch(record, key)] as const),
    );
  }

  metrics(names: readonly string[]): Series[] {
    const { records } = this.run;
    const validated = records.some(({ validation }) => validation);
    const line = (name: string, i: number, kind: 'metrics' | 'validation') =>
      this.series(
        kind === 'metrics' ? name : `${name}, validation`,
        i,
        records.map((record) => [this.atEnd(record), record[kind]?.[name] ?? null] as const),
        kind === 'validation',
      );
    return names.flatMap((name, i) =>
      validated ? [line(name, i, 'metrics'), line(name, i, 'validation')] : [line(name, i, 'metrics')],
    );
  }

  learningRates(): Series[] {
    const trained = this.run.records.filter(({ learningRates }) => learningRates);
    const groups = [...new Set(trained.flatMap(({ learningRates = {} }) => Object.keys(learningRates)))];
    return groups.map((group, i) =>
      this.series(
        group,
        i,
        // A logarithm has no 0.
        trained.map((record) => [this.atEnd(record), record.learningRates?.[group] || null] as const),
      ),
    );
  }

  private atEnd({ epoch }: EpochRecord): number {
    return epoch < 0 ? 0 : this.place(epoch, 1);
  }

  private series(
    name: string,
    i: number,
    points: (readonly [number, number | null])[],
    dotted = false,
  ): Series {
    // uPlot wants each place once, in order; a resumed run may have logged some steps twice. All charts begin at 0.
    const unique = new Map<number, number | null>([[0, null], ...points]);
    const x = [...unique.keys()].sort((a, b) => a - b);
    const several = this.overlaid ? (DASHES[i % DASHES.length] as number[]) : [];
    return {
      run: this.run.id,
      name,
      label: this.overlaid ? `${this.run.name}: ${name}` : name,
      colour: this.overlaid ? this.options.colourOf(this.run.id) : categorical(i),
      dash: dotted ? [2, 3] : several,
      x,
      y: x.map((at) => unique.get(at) ?? null),
    };
  }
}

function ofEpoch(record: EpochRecord, key: 'metricLoss' | 'maskLoss' | 'imagesPerSecond'): number | null {
  if (key !== 'imagesPerSecond') return record[key] ?? null;
  const seconds = record.seconds?.train;
  return record.images && seconds ? record.images / seconds : null;
}

/**
 * The exponential moving average of TensorBoard: weight `smoothing` of what came before, without the pull of the
 * beginning towards 0. What is null stays null.
 */
export function smoothed(values: readonly (number | null)[], smoothing: number): (number | null)[] {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = smoothing * sum + (1 - smoothing) * value;
    weight = smoothing * weight + (1 - smoothing);
    return sum / weight;
  });
}
