import { aten, cat, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import { blockNumbers, exactSquares, type Search, SLACK, squaredGapsToAll } from './nearest-candidates.js';
import type { NeighbourBlock } from './neighbours.js';
import { centre, filterError, type Precision, squaredNorms } from './product-filter.js';
import { PRODUCTS } from './row-blocks.js';

/** Queries at a time, unless told otherwise. */
const ROWS = 1024;

/** (B × k) row-major, as in `Neighbours`. */
type Found = Pick<NeighbourBlock, 'indices' | 'distances'>;

/**
 * Nearest neighbours on any device and in any precision: the distances of some queries to all, and their k smallest.
 */
export function neighboursByRows(
  search: Search,
  k: number,
  blockSize: number | undefined,
  onBlock: (block: NeighbourBlock) => void,
): void {
  const { queries } = search;
  const numQueries = queries.size(0);
  const rows = Math.max(
    1,
    blockSize ?? Math.max(ROWS, Math.floor(blockNumbers(queries.device) / search.all.size(0))),
  );
  for (let start = 0; start < numQueries; start += rows) {
    const count = Math.min(rows, numQueries - start);
    const positions = Int32Array.from({ length: count }, (_, i) => start + i);
    const found = scope(() =>
      neighboursOf(search, positions, k, queries.dtype === 'float64' ? 'float64' : 'float32'),
    );
    onBlock({ start, count, k, ...found });
  }
}

/**
 * Some queries (B of them, by position) against all (M, D). Products give every squared distance up to a bound (see
 * `filterError`); the k nearest by them and a few more are candidates, whose distances are then computed from the
 * differences and order them. Queries for which something that is no candidate may belong among the k are looked at
 * again: in float64, and after that by the differences to every row. All of it happens on the device; the k of each row
 * that are found are what leaves it. To be called in a scope.
 */
export function neighboursOf(search: Search, positions: Int32Array, k: number, precision: Precision): Found {
  const { queries, all, space, own, stop } = search;
  const { device } = all;
  const [size, count] = [all.size(0), positions.length];
  const available = size - (own ? 1 : 0);
  const width = Math.min(k + SLACK, available);
  const block = queries.indexSelect(0, tensor(positions, { dtype: 'int64', device }));
  const centred = centre(block, space, precision);
  const squares = squaredNorms(centred);
  // In float64, which few queries come to, a block and its copies are not to be larger than in float32.
  const numbers = blockNumbers(device) / (precision === 'float64' ? 4 : 1);
  const most = Math.floor(numbers / Math.max(count, all.size(1)));
  const quick = device === 'cpu' ? Math.ceil(PRODUCTS / (count * all.size(1))) : most;
  const tile = Math.max(width + 1, Math.min(most, quick));
  let best: { values: Tensor; indices: Tensor } | undefined;
  for (let start = 0; start < size; start += tile) {
    checkStop(stop);
    const before = best;
    best = scope(() => {
      const some = Math.min(tile, size - start);
      const others = centre(all.narrow(0, start, some), space, precision);
      const products = aten.addmm(squaredNorms(others).t(), centred, others.t(), 1, -2).add_(squares);
      if (own) leaveOutThemselves(products, positions, start);
      const near = products.topk(Math.min(width, some), { dim: 1, largest: false });
      const indices = near.indices.add(start);
      if (!before) return { values: near.values, indices };
      const values = cat([before.values, near.values], 1);
      const kept = values.topk(Math.min(width, values.size(1)), { dim: 1, largest: false });
      const both = cat([before.indices, indices], 1);
      return { values: kept.values, indices: both.gather(1, kept.indices) };
    });
    before?.values.dispose();
    before?.indices.dispose();
  }
  if (!best) throw new RangeError('nearest neighbours: expected a gallery of at least one row');
  // By position first: the second sort is stable, so that equally near ones stay in that order.
  const candidates = best.indices.sort(1).values;
  const [exact, order] = aten.sort$stable(
    exactSquares(block, all, candidates, space.scale, stop),
    true,
    1,
    false,
  );
  const found: Found = {
    indices: candidates
      .gather(1, order.narrow(1, 0, k))
      .to('int32')
      .toTypedArray() as Int32Array,
    distances: exact.narrow(1, 0, k).sqrt().div(space.scale).to('float32').toTypedArray() as Float32Array,
  };
  if (width === available) return found;
  const farthest = exact.select(1, k - 1);
  const beyond = mostBeyond(
    best.values.amax(1).to('float64'),
    squares.select(1, 0).to('float64'),
    farthest,
    precision,
    all.size(1),
  );
  const open = beyond.le(farthest).toNumbers();
  const again = [...open.keys()].filter((row) => open[row] === 1);
  if (again.length === 0) return found;
  const some = Int32Array.from(again, (row) => positions[row]!);
  const settled =
    precision === 'float32' ? neighboursOf(search, some, k, 'float64') : neighboursDirectly(search, some, k);
  for (const [i, row] of again.entries()) {
    found.indices.set(settled.indices.subarray(i * k, (i + 1) * k), row * k);
    found.distances.set(settled.distances.subarray(i * k, (i + 1) * k), row * k);
  }
  return found;
}

/**
 * At least how far, squared, everything is that is no candidate. One at a distance of at most `farthest` from a query of
 * norm |q| has itself a norm of at most |q| + √farthest, whatever norms there are elsewhere.
 *
 * @param last (B,) the largest product among the candidates
 */
function mostBeyond(
  last: Tensor,
  squares: Tensor,
  farthest: Tensor,
  precision: Precision,
  dimensions: number,
): Tensor {
  const { relative, absolute } = filterError(precision, dimensions);
  const norms = squares.sqrt().mul(2).add(farthest.sqrt());
  return last.sub(norms.square().mul(relative)).sub(absolute);
}

/** Of the products (B, T) with the rows from `start` on, those of a query with itself become infinite. */
function leaveOutThemselves(products: Tensor, positions: Int32Array, start: number): void {
  const columns = products.size(1);
  const itself = [...positions.keys()].filter(
    (row) => positions[row]! >= start && positions[row]! < start + columns,
  );
  if (itself.length === 0) return;
  const flat = itself.map((row) => row * columns + positions[row]! - start);
  products
    .reshape([-1])
    .indexFill_(0, tensor(flat, { dtype: 'int64', device: products.device }), Number.POSITIVE_INFINITY);
}

/** The differences of each query to every row, for queries that products cannot decide. */
function neighboursDirectly(search: Search, positions: Int32Array, k: number): Found {
  const { queries, all, space, own, stop } = search;
  const found = {
    indices: new Int32Array(positions.length * k),
    distances: new Float32Array(positions.length * k),
  };
  for (const [row, position] of positions.entries()) {
    scope(() => {
      const every = squaredGapsToAll(queries.narrow(0, position, 1), all, space.scale, stop);
      if (own) every.narrow(0, position, 1).fill_(Number.POSITIVE_INFINITY);
      const [sorted, order] = aten.sort$stable(every, true, 0, false);
      found.indices.set(order.narrow(0, 0, k).toNumbers(), row * k);
      found.distances.set(sorted.narrow(0, 0, k).sqrt().div(space.scale).toNumbers(), row * k);
    });
  }
  return found;
}
