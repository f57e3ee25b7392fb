import type { EpochRecord } from '@conquer-dml/run';
import type { RunDetail } from '../../src/api.js';
import { categorical } from './colours.js';

/** A line of a chart. */
export interface Series {
  run: string;
  /** Of several lines of one run: which. */
  name: string;
  label: string;
  colour: string;
  dash: number[];
  /** The run (or, of the same run, the line) on whose line this one lies. */
  liesOn: string | null;
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

const isRecall = (name: string) => /^R@\d+$/.test(name);

/** Names of the metrics that any of the runs has, in their order. */
const metricNames = (runs: readonly RunDetail[]) => [
  ...new Set(runs.flatMap(({ records }) => records.flatMap(({ metrics }) => Object.keys(metrics ?? {})))),
];

/** Names of the recalls that any of the runs has, by k. */
export function recallNames(runs: readonly RunDetail[]): string[] {
  return metricNames(runs)
    .filter(isRecall)
    .sort((a, b) => Number(a.slice(2)) - Number(b.slice(2)));
}

/** Those of the others, but for standard errors, and what is always higher than MAP@R and would be taken for it. */
const otherNames = (runs: readonly RunDetail[]) =>
  metricNames(runs).filter((name) => !isRecall(name) && !name.endsWith(' SE') && name !== 'mARP');

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
    series: sideBySide(lines.flatMap(of).filter(({ y }) => y.some((value) => value !== null))),
  });
  return [
    chart('metric-loss', 'Metric loss', 'number', (run) => [run.steps('metricLoss')]),
    chart('mask-loss', 'Mask loss', 'number', (run) => [run.steps('maskLoss')]),
    chart('recall', 'Recall@k', 'percent', (run) => run.metrics(options.recalls)),
    ...otherNames(runs).map((name) =>
      chart(name.toLowerCase().replace('@', '-at-'), name, 'percent', (run) => run.metrics([name])),
    ),
    chart('learning-rates', 'Learning rates by group', 'number', (run) => run.learningRates()),
    chart('images', 'Training images a second', 'number', (run) => [run.steps('imagesPerSecond')]),
  ].filter(({ series }) => series.length > 0) as ChartSpec[];
}

/** Length of a dash of lines that share a place. */
const SHARED_DASH = 7;

/**
 * Lines that lie on each other would hide each other: each after the first has gaps, in which those before show.
 */
function sideBySide(series: Series[]): Series[] {
  const groups: Series[][] = [];
  for (const line of series) {
    const group = groups.find(([first]) => first && first.colour !== line.colour && liesOn(first, line));
    if (group) group.push(line);
    else groups.push([line]);
  }
  return series.map((line) => {
    const group = groups.find((some) => some.includes(line)) ?? [];
    const place = group.indexOf(line);
    if (place <= 0) return line;
    const dash = [SHARED_DASH * (group.length - place), SHARED_DASH * place];
    const first = group[0] as Series;
    return {
      ...line,
      dash,
      liesOn: first.run !== line.run && first.name === line.name ? first.run : first.label,
    };
  });
}

/** The width of a line, as a share of what a chart shows. */
const LINE = 0.005;

/** Whether two lines are the same, to the eye, over a good part of the places that both have. */
function liesOn(a: Series, b: Series): boolean {
  const known = new Map(a.x.map((x, i) => [x, a.y[i]]));
  const values = [...a.y, ...b.y].filter((value) => value !== null);
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  let [both, same, stretches, before] = [0, 0, 0, false];
  for (const [i, x] of b.x.entries()) {
    const [there, here] = [known.get(x) ?? null, b.y[i] ?? null];
    if (there === null || here === null) continue;
    const equal = Math.abs(there - here) <= LINE * (high - low);
    both++;
    same += Number(equal);
    stretches += Number(equal && before);
    before = equal;
  }
  return both === 1 ? same === 1 : stretches > 0 && stretches >= (both - 1) / 4;
}

/** More divisions than these are not drawn one by one. */
const MOST_MARKS = 60;

/** The divisions; of many, those alone from which on there are more or fewer learners. */
export function marks(run: RunDetail, { axis, colourOf }: Pick<CurvesOptions, 'axis' | 'colourOf'>): Mark[] {
  const place = timeAxis(run, axis);
  const divisions = run.divisions.map(({ epoch, numClusters }) => ({ epoch, learners: numClusters }));
  const levels = run.tree.levels.map(({ fromEpoch, numLearners }) => ({
    epoch: fromEpoch,
    learners: numLearners,
  }));
  const drawn = run.divisionsBefore + divisions.length > MOST_MARKS ? levels : divisions;
  return drawn.map(({ epoch, learners }) => ({
    run: run.id,
    colour: colourOf(run.id),
    x: place(epoch, 0),
    epoch,
    learners,
  }));
}

/**
 * Where an epoch's share of steps lies: epoch 0 reaches from 0 to 1 epochs, or from step 0 to as many as it has.
 * What is measured after an epoch lies at its end.
 */
function timeAxis(run: RunDetail, axis: Axis): (epoch: number, share: number) => number {
  if (axis === 'epoch') return (epoch, share) => epoch + share;
  /** The step that each stretch of epochs begins at. */
  const starts: number[] = [];
  for (const [i, { epoch }] of run.epochSteps.entries()) {
    const before = run.epochSteps[i - 1];
    starts.push(before ? (starts[i - 1] as number) + (epoch - before.epoch) * before.steps : 0);
  }
  return (epoch, share) => {
    let [low, high] = [0, run.epochSteps.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((run.epochSteps[middle]?.epoch ?? 0) <= epoch) low = middle;
      else high = middle - 1;
    }
    const stretch = run.epochSteps[low];
    if (!stretch) return 0;
    return Math.round((starts[low] as number) + (epoch - stretch.epoch + share) * stretch.steps);
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
      liesOn: null,
      x,
      y: x.map((at) => unique.get(at) ?? null),
    };
  }
}

function ofEpoch(record: EpochRecord, key: 'metricLoss' | 'maskLoss' | 'imagesPerSecond'): number | null {
  if (key !== 'imagesPerSecond') return record[key] ?? null;
  const seconds = record.seconds.train;
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
