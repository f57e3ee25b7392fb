import { blend, cssColour, type Rgb, rgb } from './colours.js';
import { PointGrid } from './point-grid.js';

export interface Cloud {
  x: Float32Array;
  y: Float32Array;
  /** Index into `colours`, by point. */
  category: Int32Array | Uint8Array;
  colours: readonly string[];
  /** Pixels across, by category. */
  sizes: readonly number[];
  /** Only points of this category are drawn; null: all. */
  only: number | null;
}

/** A point where it is on the canvas, in CSS pixels. */
export interface PlacedPoint {
  index: number;
  left: number;
  top: number;
}

/** Some room around the outermost points. */
const MARGIN = 0.95;
const MOST_ZOOM = 2000;
/** How much of its colour a point keeps that is not among the selected. */
const FADED = 0.2;

/**
 * Points drawn pixel by pixel into a canvas: each is a few stores into an array, so that hundreds of thousands are drawn in a
 * frame where there is no graphics card. It holds the view, and answers what is where; what a pointer does is cloud-gestures.ts.
 */
export class PointCloud {
  private readonly context: CanvasRenderingContext2D;
  private readonly resizing: ResizeObserver;
  private cloud: Cloud | null = null;
  private grid: PointGrid | null = null;
  private selected: Uint8Array | null = null;
  private picked: number | null = null;
  private lasso: readonly (readonly [number, number])[] = [];
  private frame = 0;
  private image: ImageData | null = null;
  /** By category, then the same faded; as the image has them. */
  private palette = new Uint32Array(0);
  private ground = 0;
  private ink = '';
  /** The middle of the canvas on the map, and how many times it is enlarged. */
  private view = { x: 0, y: 0, zoom: 1 };

  /** @param moved called when the view or what is drawn has changed, once for each frame */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly moved: () => void,
  ) {
    const context = canvas.getContext('2d', { alpha: false });
    if (context === null) throw new Error('it has no canvas');
    this.context = context;
    this.resizing = new ResizeObserver(() => this.schedule());
    this.resizing.observe(canvas);
  }

  destroy(): void {
    this.resizing.disconnect();
    cancelAnimationFrame(this.frame);
  }

  update(cloud: Cloud): void {
    if (this.cloud?.x !== cloud.x) {
      this.grid = new PointGrid(cloud.x, cloud.y);
      this.selected = null;
    }
    this.cloud = cloud;
    const ground = rgb(cssColour('--card'));
    this.ground = packed(ground);
    this.ink = cssColour('--ink');
    const colours = cloud.colours.map(rgb);
    this.palette = Uint32Array.from([
      ...colours.map(packed),
      ...colours.map((colour) => packed(blend(ground, colour, FADED))),
    ]);
    this.schedule();
  }

  /** Marks a point. */
  pick(index: number | null): void {
    this.picked = index;
    this.schedule();
  }

  /** Fades all points but these; null: none. */
  select(points: Int32Array | null): void {
    this.selected = points && new Uint8Array(this.cloud?.x.length ?? 0);
    for (const point of points ?? []) if (this.selected) this.selected[point] = 1;
    this.schedule();
  }

  /** The line that is being drawn around points, in CSS pixels. */
  drawLasso(path: readonly (readonly [number, number])[]): void {
    this.lasso = path;
    this.schedule();
  }

  /** The view as at the beginning. */
  reset(): void {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.schedule();
  }

  /** Moves what is shown by so many CSS pixels. */
  pan(dx: number, dy: number): void {
    const { scale } = this.projection();
    this.view.x -= dx / scale;
    this.view.y += dy / scale;
    this.schedule();
  }

  /** Enlarges by a factor; what is at this place (CSS pixels) stays there. */
  zoom(factor: number, left = this.canvas.clientWidth / 2, top = this.canvas.clientHeight / 2): void {
    const [x, y] = this.onMap(left, top);
    this.view.zoom = Math.min(MOST_ZOOM, Math.max(0.5, this.view.zoom * factor));
    const [nowX, nowY] = this.onMap(left, top);
    this.view.x += x - nowX;
    this.view.y += y - nowY;
    this.schedule();
  }

  /** The point at a place (CSS pixels), or within a few pixels of it. */
  at(left: number, top: number): PlacedPoint | null {
    const [x, y] = this.onMap(left, top);
    const index = this.grid?.nearest(x, y, 7 / this.projection().scale, this.isShown);
    return index == null ? null : this.place(index);
  }

  /** The points that a path (CSS pixels) encloses. */
  enclosed(path: readonly (readonly [number, number])[]): Int32Array {
    const corners = path.map(([left, top]) => this.onMap(left, top));
    return this.grid?.within(corners, this.isShown) ?? new Int32Array(0);
  }

  /** Points in view no two of which are in one square of so many CSS pixels, at most `most`. */
  spread(side: number, most: number): PlacedPoint[] {
    const { cloud } = this;
    if (cloud === null) return [];
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const taken = new Set<number>();
    const found: PlacedPoint[] = [];
    for (let index = 0; index < cloud.x.length && found.length < most; index++) {
      if (!this.isShown(index) || this.selected?.[index] === 0) continue;
      const point = this.place(index);
      if (point.left < side / 2 || point.left > width - side / 2) continue;
      if (point.top < side / 2 || point.top > height - side / 2) continue;
      const square = Math.floor(point.top / side) * 4096 + Math.floor(point.left / side);
      if (taken.has(square)) continue;
      taken.add(square);
      found.push(point);
    }
    return found;
  }

  private readonly isShown = (point: number): boolean =>
    this.cloud !== null && (this.cloud.only === null || this.cloud.category[point] === this.cloud.only);

  /** One unit of the map in CSS pixels, and where its origin is. */
  private projection(): { scale: number; left: number; top: number } {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = Math.max(1e-9, (this.view.zoom * MARGIN * Math.min(width, height)) / 2);
    return { scale, left: width / 2 - this.view.x * scale, top: height / 2 + this.view.y * scale };
  }

  private onMap(left: number, top: number): [number, number] {
    const projection = this.projection();
    return [(left - projection.left) / projection.scale, (projection.top - top) / projection.scale];
  }

  private place(index: number): PlacedPoint {
    const { scale, left, top } = this.projection();
    const [x, y] = [this.cloud?.x[index] ?? 0, this.cloud?.y[index] ?? 0];
    return { index, left: left + x * scale, top: top - y * scale };
  }

  private schedule(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      this.moved();
    });
  }

  private draw(): void {
    const { canvas, context } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (width === 0 || height === 0) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    if (this.image?.width !== width || this.image.height !== height)
      this.image = context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(this.ground);
    // Those that are faded first, so that they hide none of the others.
    if (this.selected) this.drawPoints(pixels, width, height, ratio, 0);
    this.drawPoints(pixels, width, height, ratio, 1);
    context.putImageData(this.image, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawMarks();
  }

  /** @param turn 0: the faded ones, 1: the others */
  private drawPoints(pixels: Uint32Array, width: number, height: number, ratio: number, turn: 0 | 1): void {
    const { cloud, selected, palette } = this;
    if (cloud === null) return;
    const { x, y, category, only, sizes } = cloud;
    const projection = this.projection();
    const [scale, left, top] = [projection.scale * ratio, projection.left * ratio, projection.top * ratio];
    const discs = sizes.map((size) => disc(Math.max(1, Math.round(size * ratio))));
    const flat = discs.map((points) => Int32Array.from(points, ([dx, dy]) => dy * width + dx));
    const reach = discs.map((points) => Math.max(...points.map(([dx]) => Math.abs(dx))));
    const shift = turn === 0 ? cloud.colours.length : 0;
    for (let i = 0; i < x.length; i++) {
      const kind = category[i] as number;
      if (only !== null && kind !== only) continue;
      if (selected !== null && selected[i] !== turn) continue;
      const column = Math.floor(left + (x[i] as number) * scale);
      const row = Math.floor(top - (y[i] as number) * scale);
      const border = reach[kind] as number;
      const colour = palette[kind + shift] as number;
      if (column >= border && column < width - border && row >= border && row < height - border) {
        const middle = row * width + column;
        const offsets = flat[kind] as Int32Array;
        for (let at = 0; at < offsets.length; at++) pixels[middle + (offsets[at] as number)] = colour;
      } else if (column > -border && column < width + border && row > -border && row < height + border) {
        for (const [dx, dy] of discs[kind] as [number, number][])
          if (column + dx >= 0 && column + dx < width && row + dy >= 0 && row + dy < height)
            pixels[(row + dy) * width + column + dx] = colour;
      }
    }
  }

  private drawMarks(): void {
    const { context, picked, lasso } = this;
    context.strokeStyle = this.ink;
    context.lineWidth = 2;
    if (picked !== null && picked < (this.cloud?.x.length ?? 0)) {
      const { left, top } = this.place(picked);
      context.beginPath();
      context.arc(left, top, 8, 0, 2 * Math.PI);
      context.stroke();
    }
    if (lasso.length < 2) return;
    context.beginPath();
    for (const [left, top] of lasso) context.lineTo(left, top);
    context.closePath();
    context.setLineDash([5, 4]);
    context.stroke();
    context.setLineDash([]);
  }
}

/** As an image's pixels lie in memory, on machines that are little-endian. */
const packed = ({ r, g, b }: Rgb): number => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** The pixels of a dot so many pixels across, around its own. */
function disc(size: number): [number, number][] {
  const found: [number, number][] = [];
  const reach = Math.floor(size / 2);
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++) {
      const shift = size % 2 === 0 ? 0.5 : 0;
      if (size <= 3 ? dx < size - reach && dy < size - reach : Math.hypot(dx + shift, dy + shift) <= size / 2)
        found.push([dx, dy]);
    }
  return found;
}

/** The nearest shown point in a direction (dx, dy; y upwards), those straight ahead first; for the arrow keys. */
export function neighbourInDirection(cloud: Cloud, from: number, dx: number, dy: number): number {
  let [best, least] = [from, Number.POSITIVE_INFINITY];
  const x = cloud.x[from] ?? 0;
  const y = cloud.y[from] ?? 0;
  for (let index = 0; index < cloud.x.length; index++) {
    if (cloud.only !== null && cloud.category[index] !== cloud.only) continue;
    const [ax, ay] = [(cloud.x[index] ?? 0) - x, (cloud.y[index] ?? 0) - y];
    const ahead = ax * dx + ay * dy;
    if (ahead <= 1e-9) continue;
    const aside = Math.abs(ax * dy - ay * dx);
    const cost = ahead + 3 * aside;
    if (cost < least) [best, least] = [index, cost];
  }
  return best;
}
