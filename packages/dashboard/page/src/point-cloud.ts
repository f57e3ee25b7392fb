import createScatterplot from 'regl-scatterplot';
import { cssColour, rgb } from './colours.js';

export interface Cloud {
  x: readonly number[];
  y: readonly number[];
  /** Index into `colours`, by point. */
  category: readonly number[];
  colours: readonly string[];
  /** Pixels across, by category; one for all or one each. */
  sizes: readonly number[];
  /** Only these points are drawn; null: all. */
  shown: readonly number[] | null;
}

export interface CloudEvents {
  /** The pointer is over this point (pixels within the canvas); null: over none. */
  hover: (point: { index: number; left: number; top: number } | null) => void;
  /** null: the choice was taken back. */
  pick: (index: number | null) => void;
}

/** Some room around the outermost points. */
const MARGIN = 0.95;

/** Points drawn by WebGL (regl-scatterplot): drag to move, wheel to zoom, click to pick. */
export class PointCloud {
  private readonly plot: ReturnType<typeof createScatterplot>;
  private readonly resizing: ResizeObserver;
  private cloud: Cloud | null = null;
  private drawn: Promise<unknown> = Promise.resolve();
  private placed: { x: readonly number[]; y: readonly number[] } | null = null;
  private ended = false;

  /** @throws Error where the browser has no WebGL */
  constructor(
    canvas: HTMLCanvasElement,
    private readonly events: CloudEvents,
  ) {
    const { width, height } = canvas.getBoundingClientRect();
    this.plot = createScatterplot({
      canvas,
      width,
      height,
      pointSize: 6,
      opacity: 0.85,
      lassoInitiator: false,
      // A worker would need a policy of its own.
      spatialIndexUseWorker: false,
      // Shift and drag would pick many; the page shows the neighbours of one.
      actionKeyMap: {},
    } as Parameters<typeof createScatterplot>[0]);
    this.plot.subscribe('pointOver', (index: number) => this.hover(index));
    this.plot.subscribe('pointOut', () => events.hover(null));
    this.plot.subscribe('view', () => events.hover(null));
    this.plot.subscribe('select', ({ points }: { points: number[] }) => events.pick(points[0] ?? null));
    this.plot.subscribe('deselect', () => events.pick(null));
    this.resizing = new ResizeObserver(() => {
      const size = canvas.parentElement?.getBoundingClientRect();
      if (size && size.width > 0) this.plot.set({ width: size.width, height: size.height });
    });
    if (canvas.parentElement) this.resizing.observe(canvas.parentElement);
  }

  destroy(): void {
    this.ended = true;
    this.resizing.disconnect();
    // What is being drawn would fail in the midst.
    void this.drawn.finally(() => this.plot.destroy());
  }

  /** Draws one state after the other; of those that wait, only the last. */
  update(cloud: Cloud): void {
    this.cloud = cloud;
    this.drawn = this.drawn.then(() => (this.ended || this.cloud !== cloud ? undefined : this.draw(cloud)));
  }

  private async draw({ x, y, category, colours, sizes, shown }: Cloud): Promise<void> {
    const ink = rgb(cssColour('--ink'));
    const active = [ink.r / 255, ink.g / 255, ink.b / 255, 1];
    const ground = rgb(cssColour('--card'));
    this.plot.set({
      backgroundColor: [ground.r / 255, ground.g / 255, ground.b / 255, 1],
      pointColor: [...colours],
      pointColorActive: active,
      pointColorHover: active,
      colorBy: 'valueA',
      ...(sizes.length > 1
        ? { sizeBy: 'valueA', pointSize: [...sizes] }
        : { sizeBy: null, pointSize: sizes[0] ?? 6 }),
    } as Parameters<typeof this.plot.set>[0]);
    const moved = this.placed?.x !== x || this.placed?.y !== y;
    this.placed = { x, y };
    if (moved) this.plot.deselect({ preventEvent: true });
    const points = { x: x.map((v) => v * MARGIN), y: y.map((v) => v * MARGIN), valueA: [...category] };
    await this.plot.draw(points as Parameters<typeof this.plot.draw>[0], {
      zDataType: 'categorical',
      ...(shown ? { filter: [...shown] } : {}),
    });
    if (!shown) this.plot.unfilter({ preventEvent: true });
  }

  /** Marks a point as picked without telling. */
  pick(index: number | null): void {
    void this.drawn.then(() => {
      if (this.ended) return;
      if (index === null) this.plot.deselect({ preventEvent: true });
      else this.plot.select([index], { preventEvent: true });
    });
  }

  /** The view as at the beginning. */
  reset(): void {
    this.plot.reset();
  }

  private hover(index: number): void {
    const at = this.plot.getScreenPosition(index);
    this.events.hover(at ? { index, left: at[0], top: at[1] } : null);
  }

  /** Pixels within the canvas. */
  position(index: number): [number, number] | null {
    const at = this.plot.getScreenPosition(index);
    return at ? [at[0], at[1]] : null;
  }
}

/** The nearest shown point in a direction (dx, dy; y upwards), those straight ahead first; for the arrow keys. */
export function neighbourInDirection(cloud: Cloud, from: number, dx: number, dy: number): number {
  let [best, least] = [from, Number.POSITIVE_INFINITY];
  const x = cloud.x[from] ?? 0;
  const y = cloud.y[from] ?? 0;
  for (const index of cloud.shown ?? cloud.x.keys()) {
    const [ax, ay] = [(cloud.x[index] ?? 0) - x, (cloud.y[index] ?? 0) - y];
    const ahead = ax * dx + ay * dy;
    if (ahead <= 1e-9) continue;
    const aside = Math.abs(ax * dy - ay * dx);
    const cost = ahead + 3 * aside;
    if (cost < least) [best, least] = [index, cost];
  }
  return best;
}
