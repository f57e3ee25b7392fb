import { aten, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { exactSquares, squaredGaps, squaredGapsToAll } from '../neighbours/nearest-candidates.js';
import { centre, filterError, type Space, spaceOf, squaredNorms } from '../neighbours/product-filter.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { Search } from './search.js';

/** Numbers in a block of distances; there are some ten such blocks at a time. */
const BLOCK_NUMBERS = 2 * 2 ** 20;
/** Where more than this share of the gallery is undecided for a query, its distances to all are taken by differences. */
const CROWDED = 1 / 16;

/**
 * For every query the places of its images to be found in the ranking of the whole gallery by Euclidean distance, those
 * that it leaves out not counted. Of equally near images the lower one in the gallery comes first. The order is that of the
 * differences in float64.
 *
 * Nothing is sorted but the images to be found: for each of them the nearer ones of other classes are
 * counted. Memory grows with the size of the gallery, time with queries × gallery.
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @param onQuery told of each query in order: the ranks are ascending and from 1
 */
export function eachRanking(
  embeddings: Tensor,
  labels: Int32Array,
  { gallery, blockSize, stop }: Search,
  onQuery: (query: number, ranks: Int32Array) => void,
): void {
  const galleryLabels = gallery?.labels ?? labels;
  const members = new Map<number, number[]>();
  for (const [position, label] of galleryLabels.entries()) {
    const found = members.get(label);
    if (found) found.push(position);
    else members.set(label, [position]);
  }
  const rows = Math.max(1, blockSize ?? Math.floor(BLOCK_NUMBERS / galleryLabels.length));
  scope(() =>
    noGrad(() => {
      const precise = embeddings.dtype === 'float64' ? 'float64' : 'float32';
      const queries = embeddings.detach().to({ dtype: precise });
      const all = gallery ? gallery.embeddings.detach().to({ dtype: precise }) : queries;
      const space = spaceOf('a ranking', all, gallery ? queries : null);
      checkStop(stop);
      const centred = centre(all, space, precise);
      checkStop(stop);
      const ranking = { queries, all, space, centred, squares: squaredNorms(centred), stop };
      const classOf = tensor(galleryLabels, { device: embeddings.device });
      for (let start = 0; start < labels.length; start += rows) {
        checkStop(stop);
        const count = Math.min(rows, labels.length - start);
        const targets = Array.from({ length: count }, (_, row) => {
          const ofClass = members.get(labels[start + row] as number) ?? [];
          // A query is not its own neighbour.
          const itself = gallery ? (gallery.own?.get(start + row) ?? []) : [start + row];
          return itself.length > 0 ? ofClass.filter((position) => !itself.includes(position)) : ofClass;
        });
        const others = scope(() => {
          const query = tensor(labels.subarray(start, start + count), { device: embeddings.device });
          const sameClass = classOf.eq(query.unsqueeze(1));
          const itself =
            gallery?.own && maskOf(gallery.own, start, [count, galleryLabels.length], sameClass.device);
          return othersBefore(ranking, start, itself ? sameClass.logicalOr(itself) : sameClass, targets);
        });
        const width = others.length / count;
        for (const [row, { length }] of targets.entries())
          onQuery(
            start + row,
            Int32Array.from({ length }, (_, hit) => hit + 1 + others[row * width + hit]!),
          );
      }
    }),
  );
}

/** (B, M) bool: what the queries from `start` on leave out of the gallery; null where that is nothing. */
function maskOf(own: OwnInGallery, start: number, shape: [number, number], device: string): Tensor | null {
  const [count, size] = shape;
  const mask = new Uint8Array(count * size);
  for (let row = 0; row < count; row++)
    for (const position of own.get(start + row) ?? []) mask[row * size + position] = 1;
  return mask.includes(1) ? tensor(mask, { shape, device }).gt(0) : null;
}

/** What is ranked, in one space. */
interface Ranking {
  /** (N, D) */
  queries: Tensor;
  /** (M, D) */
  all: Tensor;
  space: Space;
  /** (M, D), `all` in that space */
  centred: Tensor;
  /** (M, 1), |y|² of these */
  squares: Tensor;
  stop: StopCheck | undefined;
}

/**
 * How many images of other classes come before each target, nearest target first.
 *
 * @param start the first of the queries
 * @param sameClass (B, M) bool, true also for what a query leaves out
 * @param targets ascending positions in the gallery, for each of B queries
 * @returns (B × width) row-major, width the largest number of targets; beyond a query's targets it means nothing
 */
function othersBefore(
  ranking: Ranking,
  start: number,
  sameClass: Tensor,
  targets: readonly number[][],
): Float64Array {
  const [count, device] = [targets.length, sameClass.device];
  const width = targets.reduce((most, { length }) => Math.max(most, length), 0);
  if (width === 0) return new Float64Array();
  const positions = new Int32Array(count * width);
  const beyond = new Uint8Array(count * width).fill(1);
  for (const [row, ofQuery] of targets.entries()) {
    positions.set(ofQuery, row * width);
    beyond.fill(0, row * width, row * width + ofQuery.length);
  }
  const shape = [count, width];
  const { queries, all, space, stop } = ranking;
  const found = tensor(positions, { shape, dtype: 'int64', device });
  const unsorted = exactSquares(queries.narrow(0, start, count), all, found, space.scale, stop).maskedFill_(
    tensor(beyond, { shape, device }).gt(0),
    Infinity,
  );
  // Of equally near ones the lower first.
  const [toTargets, order] = aten.sort$stable(unsorted, true, 1);
  const places = found.gather(1, order);
  const distances = distancesAround(ranking, start, toTargets, sameClass);
  // Each image of another class comes before the targets from this one on: in 0 … width.
  const from = aten.searchsorted$Tensor(toTargets, distances);
  const past = aten.searchsorted$Tensor(toTargets, distances, false, true);
  behindEqualTargets(from, past, places, distances.isfinite());
  const firstOfRow = Int32Array.from({ length: count }, (_, row) => row * (width + 1));
  const bins = from.add_(tensor(firstOfRow, { dtype: 'int64', device }).unsqueeze(1)).reshape([-1]);
  return bins
    .bincount(count * (width + 1))
    .reshape([count, width + 1])
    .cumsum(1)
    .narrow(1, 0, width)
    .toNumbers();
}

/**
 * Where an image is as near as targets, it comes behind those of them that are lower in the gallery.
 *
 * @param from (B, M) the first target that is as far; moved on in place
 * @param past (B, M) the first target that is farther
 * @param places (B, width) of the targets in the gallery
 * @param counted (B, M) which images are
 */
function behindEqualTargets(from: Tensor, past: Tensor, places: Tensor, counted: Tensor): void {
  const ties = aten.nonzero(past.gt(from).logicalAnd(counted));
  const size = ties.size(0);
  if (size === 0) return;
  const [row, column] = [ties.select(1, 0), ties.select(1, 1)];
  const [rows, columns] = [row.toNumbers(), column.toNumbers()];
  const flat = row.mul(from.size(1)).add(column);
  const starts = from.view([-1]).indexSelect(0, flat).toNumbers();
  const ends = past.view([-1]).indexSelect(0, flat).toNumbers();
  const [all, width] = [places.toNumbers(), places.size(1)];
  const moved = Int32Array.from({ length: size }, (_, tie) => {
    let [low, high] = [starts[tie]!, ends[tie]!];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[rows[tie]! * width + middle]! < columns[tie]!) low = middle + 1;
      else high = middle;
    }
    return low;
  });
  aten.index_copy_(from.view([-1]), 0, flat, tensor(moved, { dtype: 'int64', device: from.device }));
}

/**
 * Squared distances (B, M) in float64, Infinity to `sameClass`: by products where their error cannot move an image past a
 * target, else by differences.
 */
function distancesAround(
  { queries, all, space, centred, squares, stop }: Ranking,
  start: number,
  toTargets: Tensor,
  sameClass: Tensor,
): Tensor {
  const [count, size] = [toTargets.size(0), all.size(0)];
  const block = queries.narrow(0, start, count);
  const precision = queries.dtype === 'float64' ? 'float64' : 'float32';
  const { relative, absolute } = filterError(precision, all.size(1));
  const { distances, undecided } = scope(() => {
    const query = centre(block, space, precision);
    const ofQuery = squaredNorms(query);
    const products = aten.addmm(squares.t(), query, centred.t(), 1, -2).add_(ofQuery);
    const distances = products.to({ dtype: 'float64' }).maskedFill_(sameClass, Infinity);
    const norms = ofQuery.sqrt().to({ dtype: 'float64' }).add(squares.sqrt().t());
    const error = norms.mul_(norms).mul_(relative).add_(absolute);
    const nearest = aten.searchsorted$Tensor(toTargets, distances.sub(error));
    const farthest = aten.searchsorted$Tensor(toTargets, distances.add(error), false, true);
    return { distances, undecided: nearest.ne(farthest).maskedFill_(sameClass, 0) };
  });
  // Many of one query all at once, a few of each one by one.
  const crowded = undecided.sum(1).gt(Math.floor(size * CROWDED));
  const rows = aten.nonzero(crowded).select(1, 0);
  for (const row of rows.toNumbers()) {
    scope(() => {
      const exact = squaredGapsToAll(block.narrow(0, row, 1), all, space.scale, stop);
      distances.select(0, row).copy_(exact.maskedFill_(sameClass.select(0, row), Infinity));
    });
  }
  undecided.indexFill_(0, rows, 0);
  const pairs = aten.nonzero(undecided);
  const piece = Math.max(1, Math.floor(BLOCK_NUMBERS / all.size(1)));
  for (let first = 0; first < pairs.size(0); first += piece) {
    checkStop(stop);
    scope(() => {
      const some = pairs.narrow(0, first, Math.min(piece, pairs.size(0) - first));
      const [row, column] = [some.select(1, 0), some.select(1, 1)];
      const exact = squaredGaps(block.indexSelect(0, row), all.indexSelect(0, column), space.scale);
      aten.index_copy_(distances.view([-1]), 0, row.mul(size).add(column), exact);
    });
  }
  return distances;
}
