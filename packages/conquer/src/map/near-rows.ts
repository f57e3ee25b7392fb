import { setImmediate as nextTurn } from 'node:timers/promises';
import { aten, cat, noGrad, refineNeighbours, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { kMeans } from '../clustering/kmeans.js';
import { nearestNeighbours } from '../neighbours/nearest.js';
import type { Neighbours } from '../neighbours/neighbours.js';
import { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';

/** Up to so many rows every pair is compared. */
const EXACT = 12_000;
/** Rows of a cell from which its centroid is found, and rounds of the k-means: with fewer of either, rows of one kind are torn apart. */
const SAMPLED = 100;
const ITERATIONS = 10;
/** Cells that all rows of a cell are searched in, itself among them. */
const PROBES = 2;
/** Nearest cells of each row: in those that its cell is not searched in it looks for so many, so that no border is between them. */
const CHOICES = 3;
const VISITED = 4;
/** Rows that are searched in at most, and rows that search, at a time: 64 MB of distances. */
const MOST_SEARCHED = 16_384;
const SEARCHING = 1024;
/** Looks at the neighbours' neighbours. */
const ROUNDS = 2;
/** Rows that are assigned at a time. */
const ASSIGNED = 8192;

export interface NearRowsOptions {
  stop?: StopCheck | undefined;
  /** Shares of the work that are done, 0 to 1. */
  onProgress?: ((share: number) => void) | undefined;
}

/**
 * The k nearest of each row among the others by Euclidean distance; from some thousands of rows on nearly all of them: rows are
 * searched in the cells of a k-means around them, and then among the neighbours of what was found there.
 *
 * Memory beside the rows: a copy of them.
 * @param rows float32 (N, D) on the CPU, finite
 * @throws Interrupted after `stop`
 */
export async function nearRows(rows: Tensor, k: number, options: NearRowsOptions = {}): Promise<Neighbours> {
  const { stop, onProgress } = options;
  if (rows.size(0) <= EXACT)
    return nearestNeighbours(rows, null, k, {
      stop,
      onProgress: ({ done, total }) => onProgress?.(done / total),
    });
  const { order, starts, around, visitors, sorted } = inCells(rows, stop);
  using ordered = sorted;
  const visits = new Int32Array(order.length * (CHOICES - 1) * VISITED).fill(-1);
  const found: Found = {
    indices: new Int32Array(order.length * k).fill(-1),
    squares: new Float32Array(order.length * k),
  };
  for (const [cell, others] of around.entries()) {
    await nextTurn();
    checkStop(stop);
    searchCell(ordered, starts, [cell, ...others], k, found);
    visitCell(ordered, starts, cell, visitors[cell]!, visits);
    onProgress?.((0.6 * (cell + 1)) / around.length);
  }
  scope(() => {
    const indices = tensor(found.indices, { shape: [order.length, k] });
    const squares = tensor(found.squares, { shape: [order.length, k] });
    for (let round = 0; round < ROUNDS; round++)
      scope(() => {
        checkStop(stop);
        const near = bothWays(indices.toTypedArray() as Int32Array, k, visits);
        refineNeighbours(
          ordered,
          tensor(near, { shape: [order.length, near.length / order.length] }),
          indices,
          squares,
        );
      });
    found.indices = indices.toTypedArray() as Int32Array;
    found.squares = squares.toTypedArray() as Float32Array;
  });
  onProgress?.(1);
  return asGiven(found, order, k);
}

/** (N, k) places and squared distances, nearest first; −1 and infinity where there are fewer. */
interface Found {
  indices: Int32Array;
  squares: Float32Array;
}

/** Rows in the order of their cells. */
interface Cells {
  /** (N,) which row stands where */
  order: Int32Array;
  /** (cells + 1) where each cell begins */
  starts: Int32Array;
  /** By cell: others that its rows are near to as well. */
  around: number[][];
  /** (N, D) the rows in this order, less their mean; the caller disposes them */
  sorted: Tensor;
  /** By cell: places of rows of others that look into it, and as their how many-th. */
  visitors: { place: number; turn: number }[][];
}

function inCells(rows: Tensor, stop: StopCheck | undefined): Cells {
  const count = rows.size(0);
  const cells = Math.round(Math.sqrt(count));
  return scope(() =>
    noGrad(() => {
      const step = Math.max(1, Math.floor(count / (SAMPLED * cells)));
      const sample = aten.slice$Tensor(rows, 0, 0, count, step);
      const random = new Random(0);
      const { centroids } = kMeans(sample, cells, {
        random,
        init: 'random',
        maxIterations: ITERATIONS,
        stop,
      });
      const halves = centroids.square().sum(1, true).mul(-0.5).t();
      const cellOf = new Int32Array(count);
      const choices = Math.min(CHOICES, cells);
      // How often a cell comes next after another.
      const next = new Int32Array(count * (choices - 1));
      const chosen = Array.from({ length: cells }, () => new Map<number, number>());
      for (let start = 0; start < count; start += ASSIGNED) {
        checkStop(stop);
        scope(() => {
          const some = rows.narrow(0, start, Math.min(ASSIGNED, count - start));
          const [, nearest] = aten.topk(aten.addmm(halves, some, centroids.t()), choices, 1, true, true);
          const which = nearest.to({ dtype: 'int32' }).toTypedArray() as Int32Array;
          for (let row = 0; row < some.size(0); row++) {
            const own = which[row * choices]!;
            cellOf[start + row] = own;
            for (let i = 1; i < choices; i++) {
              const other = which[row * choices + i]!;
              next[(start + row) * (choices - 1) + i - 1] = other;
              chosen[own]!.set(other, (chosen[own]!.get(other) ?? 0) + 1);
            }
          }
        });
      }
      const starts = new Int32Array(cells + 1);
      for (const cell of cellOf) starts[cell + 1]!++;
      for (let cell = 0; cell < cells; cell++) starts[cell + 1]! += starts[cell]!;
      const free = starts.slice();
      const order = new Int32Array(count);
      for (let row = 0; row < count; row++) order[free[cellOf[row]!]!++] = row;
      const around = chosen.map((counts) =>
        [...counts]
          .sort(([a, n], [b, m]) => m - n || a - b)
          .slice(0, PROBES - 1)
          .map(([cell]) => cell),
      );
      const visitors: Cells['visitors'] = Array.from({ length: cells }, () => []);
      for (let place = 0; place < count; place++)
        for (let turn = 0; turn < choices - 1; turn++) {
          const other = next[order[place]! * (choices - 1) + turn]!;
          if (!around[cellOf[order[place]!]!]!.includes(other)) visitors[other]!.push({ place, turn });
        }
      const sorted = rows
        .indexSelect(0, tensor(order, { dtype: 'int64' }))
        .sub_(sample.mean(0, true))
        .keep();
      return { order, starts, around, visitors, sorted };
    }),
  );
}

/** (N, 1) */
const squaresOf = (rows: Tensor): Tensor => rows.square().sum(1, true);

/** The nearest of a cell's rows in some cells, the first of which is its own. */
function searchCell(
  rows: Tensor,
  starts: Int32Array,
  cells: readonly number[],
  k: number,
  found: Found,
): void {
  const [first, last] = [starts[cells[0]!]!, starts[cells[0]! + 1]!];
  for (let start = first; start < last; start += SEARCHING) {
    const count = Math.min(SEARCHING, last - start);
    scope(() =>
      noGrad(() => {
        const { places, pieces } = searchedIn(rows, starts, cells, start);
        const left = rows.narrow(0, start, count);
        const right = pieces.length === 1 ? pieces[0]! : cat(pieces, 0);
        const squares = aten.addmm(squaresOf(right).t(), left, right.t(), 1, -2);
        squares.add_(squaresOf(left));
        const width = Math.min(k + 1, places.length);
        const [nearest, at] = aten.topk(squares, width, 1, false, true);
        const distances = nearest.clamp({ min: 0 }).toTypedArray() as Float32Array;
        const which = at.to({ dtype: 'int32' }).toTypedArray() as Int32Array;
        for (let row = 0; row < count; row++) {
          let to = (start + row) * k;
          const end = to + k;
          for (let i = row * width; i < (row + 1) * width && to < end; i++) {
            const other = places[which[i]!]!;
            if (other === start + row) continue;
            found.indices[to] = other;
            found.squares[to++] = distances[i]!;
          }
          found.squares.fill(Number.POSITIVE_INFINITY, to, end);
        }
      }),
    );
  }
}

/** Whole cells as far as they fit; of a cell that is too large the rows about `start`. */
function searchedIn(rows: Tensor, starts: Int32Array, cells: readonly number[], start: number) {
  const places: number[] = [];
  const pieces: Tensor[] = [];
  for (const cell of cells) {
    let [from, to] = [starts[cell]!, starts[cell + 1]!];
    const room = MOST_SEARCHED - places.length;
    if (cell === cells[0] && to - from > room) {
      from = Math.max(from, Math.min(start - (room - SEARCHING) / 2, to - room));
      to = from + room;
    }
    to = Math.min(to, from + room);
    if (to <= from) continue;
    pieces.push(rows.narrow(0, from, to - from));
    for (let place = from; place < to; place++) places.push(place);
  }
  return { places, pieces };
}

/** The nearest in a cell of rows of others, which look into it. @param visits (N, CHOICES - 1, VISITED) takes their places */
function visitCell(
  rows: Tensor,
  starts: Int32Array,
  cell: number,
  visitors: Cells['visitors'][number],
  visits: Int32Array,
): void {
  const { places, pieces } = searchedIn(rows, starts, [cell], starts[cell]!);
  const width = Math.min(VISITED, places.length);
  if (width === 0) return;
  for (let start = 0; start < visitors.length; start += SEARCHING) {
    const some = visitors.slice(start, start + SEARCHING);
    scope(() =>
      noGrad(() => {
        const left = rows.indexSelect(
          0,
          tensor(
            some.map(({ place }) => place),
            { dtype: 'int64' },
          ),
        );
        // Less |x|², which is the same for all.
        const squares = aten.addmm(squaresOf(pieces[0]!).t(), left, pieces[0]!.t(), 1, -2);
        const [, at] = aten.topk(squares, width, 1, false, false);
        const which = at.to({ dtype: 'int32' }).toTypedArray() as Int32Array;
        for (const [i, { place, turn }] of some.entries())
          for (let rank = 0; rank < width; rank++)
            visits[(place * (CHOICES - 1) + turn) * VISITED + rank] = places[which[i * width + rank]!]!;
      }),
    );
  }
}

/** (N, W) each row's neighbours, what it found on its visits, and up to k of the rows that found it; -1 where there are fewer. */
function bothWays(indices: Int32Array, k: number, visits: Int32Array): Int32Array {
  const count = indices.length / k;
  const visited = visits.length / count;
  const width = 2 * k + visited;
  const around = new Int32Array(count * width).fill(-1);
  const found = new Uint8Array(count);
  const add = (row: number, to: number, other: number) => {
    around[row * width + to] = other;
    if (other >= 0 && found[other]! < k) around[other * width + k + visited + found[other]!++] = row;
  };
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < visited; i++) add(row, k + i, visits[row * visited + i]!);
    for (let i = 0; i < k; i++) add(row, i, indices[row * k + i]!);
  }
  return around;
}

/** By the rows' own places. Where fewer than k were found, the last one stands for the rest. */
function asGiven(found: Found, order: Int32Array, k: number): Neighbours {
  const indices = new Int32Array(found.indices.length);
  const distances = new Float32Array(found.indices.length);
  for (let place = 0; place < order.length; place++) {
    const to = order[place]! * k;
    for (let i = 0; i < k; i++) {
      const other = found.indices[place * k + i]!;
      indices[to + i] = other >= 0 ? order[other]! : i > 0 ? indices[to + i - 1]! : order[place]!;
      distances[to + i] =
        other >= 0 ? Math.sqrt(found.squares[place * k + i]!) : i > 0 ? distances[to + i - 1]! : 0;
    }
  }
  return { k, indices, distances };
}
