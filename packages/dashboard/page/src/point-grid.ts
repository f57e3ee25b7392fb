/** Points of the plane (within −1 to 1, or so) by the cells of a grid, to find those at a place without a look at all. */
export class PointGrid {
  private readonly side: number;
  /** (cells + 1): where each cell begins in `order`. */
  private readonly starts: Int32Array;
  private readonly order: Int32Array;

  constructor(
    private readonly x: Float32Array,
    private readonly y: Float32Array,
  ) {
    this.side = Math.max(1, Math.min(1024, Math.round(Math.sqrt(x.length / 2))));
    this.starts = new Int32Array(this.side ** 2 + 1);
    this.order = new Int32Array(x.length);
    const cells = Int32Array.from(x, (value, i) => this.cell(y[i] as number) * this.side + this.cell(value));
    for (const cell of cells) this.starts[cell + 1] = (this.starts[cell + 1] as number) + 1;
    for (let cell = 0; cell < this.side ** 2; cell++)
      this.starts[cell + 1] = (this.starts[cell + 1] as number) + (this.starts[cell] as number);
    const next = this.starts.slice();
    for (const [i, cell] of cells.entries()) {
      this.order[next[cell] as number] = i;
      next[cell] = (next[cell] as number) + 1;
    }
  }

  private cell(value: number): number {
    return Math.max(0, Math.min(this.side - 1, Math.floor(((value + 1) / 2) * this.side)));
  }

  /** Calls with each point of the cells that a box touches. */
  private inBox(
    left: number,
    right: number,
    low: number,
    high: number,
    visit: (point: number) => void,
  ): void {
    for (let row = this.cell(low); row <= this.cell(high); row++) {
      const first = this.starts[row * this.side + this.cell(left)] as number;
      const last = this.starts[row * this.side + this.cell(right) + 1] as number;
      for (let at = first; at < last; at++) visit(this.order[at] as number);
    }
  }

  /** The nearest point to a place, no farther than `radius`, of those that are wanted; null: there is none. */
  nearest(x: number, y: number, radius: number, isWanted: (point: number) => boolean): number | null {
    let best: number | null = null;
    let least = radius ** 2;
    this.inBox(x - radius, x + radius, y - radius, y + radius, (point) => {
      const squared = ((this.x[point] as number) - x) ** 2 + ((this.y[point] as number) - y) ** 2;
      if (squared > least || !isWanted(point)) return;
      least = squared;
      best = point;
    });
    return best;
  }

  /**
   * The points inside a polygon, ascending.
   * @param corners [x, y] of each; the last is joined to the first, and where its sides cross, what is enclosed an odd number of times counts
   */
  within(corners: readonly (readonly [number, number])[], isWanted: (point: number) => boolean): Int32Array {
    const found: number[] = [];
    const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
    const extent = (values: number[]) => [Math.min(...values), Math.max(...values)] as const;
    if (corners.length < 3) return new Int32Array(0);
    const [left, right] = extent(xs);
    const [low, high] = extent(ys);
    this.inBox(left, right, low, high, (point) => {
      const [x, y] = [this.x[point] as number, this.y[point] as number];
      if (x < left || x > right || y < low || y > high || !isWanted(point)) return;
      let inside = false;
      for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
        const [y0, y1] = [ys[i] as number, ys[j] as number];
        const [x0, x1] = [xs[i] as number, xs[j] as number];
        if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) inside = !inside;
      }
      if (inside) found.push(point);
    });
    return Int32Array.from(found).sort();
  }
}
