import uPlot from 'uplot';
import { cssColour } from './colours.js';
import { type ChartSpec, type Mark, smoothed } from './curves.js';
import { percent, short } from './format.js';

export interface PlotSpec {
  chart: ChartSpec;
  marks: Mark[];
  /** 0: none, to below 1. */
  smoothing: number;
  xName: string;
}

/** What the cursor is at: a place on the time axis, and each series' value there or before. */
export interface Reading {
  x: number;
  values: (number | null)[];
}

/** Draws a chart into an element with uPlot. The values of the cursor's place, or of the end, go to `read`. */
export class CurvePlot {
  private plot: uPlot | null = null;
  private shape = '';
  private spec: PlotSpec | null = null;
  private data: uPlot.AlignedData = [[]];
  private readonly resizing: ResizeObserver;

  constructor(
    private readonly host: HTMLElement,
    private readonly read: (reading: Reading | null) => void,
  ) {
    this.resizing = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resizing.observe(host);
  }

  destroy(): void {
    this.resizing.disconnect();
    this.plot?.destroy();
  }

  update(spec: PlotSpec): void {
    this.spec = spec;
    const series = spec.chart.series;
    const tables = series.flatMap(({ x, y }) =>
      spec.smoothing > 0
        ? [
            [x, smoothed(y, spec.smoothing)],
            [x, y],
          ]
        : [[x, y]],
    ) as uPlot.AlignedData[];
    const past = this.data[0];
    this.data = uPlot.join(tables);
    const lines = series.map(({ label, colour, dash }) => [label, colour, dash]);
    const shape = JSON.stringify([
      lines,
      spec.xName,
      spec.smoothing > 0,
      spec.chart.format,
      cssColour('--soft'),
    ]);
    if (this.plot && shape === this.shape) {
      // Who has zoomed in wants to stay there while more comes in.
      const { min, max } = this.plot.scales.x ?? {};
      const zoomed = (min ?? 0) > (past[0] ?? 0) || (max ?? 0) < (past.at(-1) ?? 0);
      this.plot.setData(this.data, !zoomed);
      if (zoomed) this.plot.redraw();
    } else {
      this.plot?.destroy();
      this.plot = new uPlot(this.options(spec), this.data, this.host);
      this.shape = shape;
    }
    this.read(this.reading(this.plot.cursor.idx));
  }

  /** Moves the cursor by so many places of the time axis: the keyboard's way. */
  step(by: number): void {
    if (!this.plot) return;
    const xs = this.data[0];
    const at = this.plot.cursor.idx ?? (by > 0 ? -1 : xs.length);
    const to = Math.min(xs.length - 1, Math.max(0, at + by));
    // As by the mouse, so that the other charts' cursors go along.
    const { left, top } = this.plot.over.getBoundingClientRect();
    const clientX = left + this.plot.valToPos(xs[to] as number, 'x');
    this.plot.over.dispatchEvent(new MouseEvent('mousemove', { clientX, clientY: top + 1 }));
  }

  private reading(at: number | null | undefined): Reading | null {
    const xs = this.data[0];
    const index = at ?? xs.length - 1;
    const x = xs[index];
    if (x === undefined) return null;
    const each = this.spec && this.spec.smoothing > 0 ? 2 : 1;
    const values = (this.spec?.chart.series ?? []).map((_, i) => {
      const column = this.data[1 + each * i];
      for (let j = index; j >= 0; j--) if (typeof column?.[j] === 'number') return column[j] as number;
      return null;
    });
    return { x, values };
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(120, this.host.clientWidth), height: 210 };
  }

  private options(spec: PlotSpec): uPlot.Options {
    const soft = cssColour('--soft');
    const grid = { stroke: cssColour('--line'), width: 1 };
    const font = '12px system-ui, "DejaVu Sans", sans-serif';
    const write = spec.chart.format === 'percent' ? shortPercent : short;
    const lines = spec.chart.series.flatMap(({ label, colour, dash, x }): uPlot.Series[] => {
      const line = { label, stroke: colour, dash, width: 2, spanGaps: true, points: { show: x.length < 3 } };
      // What was measured stays to be seen, faintly, behind what is smoothed.
      const faint = { ...line, stroke: `${colour}55`, width: 1, points: { show: false } };
      return spec.smoothing > 0 ? [line, faint] : [line];
    });
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { sync: { key: `curves by ${spec.xName}` }, focus: { prox: 24 }, points: { size: 7 } },
      scales: {
        x: { time: false, range: (_, min, max) => [min, max > min ? max : min + 1] },
        y: spec.chart.log ? { distr: 3 } : {},
      },
      axes: [
        {
          stroke: soft,
          grid: { show: false },
          ticks: grid,
          font,
          size: 34,
          values: (_, at) => at.map((x) => (Number.isInteger(x) ? String(x) : '')),
        },
        {
          stroke: soft,
          grid,
          ticks: { show: false },
          ...(spec.chart.log ? { splits: logSplits, filter: (_: uPlot, at: number[]) => at } : {}),
          font,
          size: 62,
          values: (_, at) => at.map((y) => (y === null ? '' : write(y))),
        },
      ],
      series: [{ label: spec.xName }, ...lines],
      hooks: {
        drawAxes: [(plot) => this.drawMarks(plot)],
        setCursor: [(plot) => this.read(this.reading(plot.cursor.idx))],
      },
    };
  }

  /** A dashed line at each division; where the number of learners changes, that number. */
  private drawMarks(plot: uPlot): void {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const runs = [...new Set(this.spec?.marks.map(({ run }) => run))];
    const several = runs.length > 1;
    const soft = cssColour('--soft');
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'top';
    // Runs that were divided at one place take turns.
    ctx.setLineDash([3 * ratio, (several ? 4 * runs.length - 3 : 4) * ratio]);
    ctx.lineWidth = ratio;
    let [run, learners] = ['', 0];
    for (const mark of this.spec?.marks ?? []) {
      const x = Math.round(plot.valToPos(mark.x, 'x', true));
      ctx.lineDashOffset = -4 * runs.indexOf(mark.run) * ratio;
      ctx.strokeStyle = ctx.fillStyle = several ? mark.colour : soft;
      ctx.globalAlpha = 0.6;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      if (mark.run !== run || mark.learners !== learners)
        ctx.fillText(String(mark.learners), x + 3 * ratio, bbox.top + 2 * ratio);
      [run, learners] = [mark.run, mark.learners];
    }
    ctx.restore();
  }
}

/** Lines at powers of ten; within one, at its halves and fifths too. */
function logSplits(_: uPlot, __: number, min: number, max: number): number[] {
  const [low, high] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const factors = high - low > 2 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  return powers
    .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
    .filter((at) => at >= min && at <= max);
}

const shortPercent = (value: number): string => percent(value).replace('.0', '');
