import { aten, cat, full, NeighbourCandidates, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';
import { checkStop } from '../stop-check.js';
import { neighboursOf } from './nearest-by-rows.js';
import { type Search, SLACK } from './nearest-candidates.js';
import type { NearestOptions, NeighbourBlock } from './neighbours.js';
import { centre, filterError, squaredNorms } from './product-filter.js';

/** Queries and gallery rows of a block of distances: 16 MB, which the processor's cache can hold. */
const BLOCK_ROWS = 2048;
/** Blocks of queries that are searched together in a gallery that is not theirs. */
const QUERY_BLOCKS = 8;
/** Rows that are centred at a time. */
const COPIED_ROWS = 8192;
/** Rows of the gallery from which the distance of the k-th is guessed. */
const SAMPLE = 1024;
/** Numbers whose differences may have to be taken, in what is not interrupted. */
const SETTLED_NUMBERS = 2 ** 26;
/** Bytes of candidates, unless told otherwise: of a million queries at once where 100 neighbours are looked for. */
const MOST_CANDIDATE_BYTES = 1.25 * 2 ** 30;
/** Of the candidates kept, the least share that has to come beyond them before the nearest are selected. */
const LEAST_SPARE = 0.25;

/**
 * Nearest neighbours in float32 on the CPU, by blocks of queries × blocks of the gallery. Where the queries are
 * the gallery, each block serves its columns too, so that half of the products are enough.
 *
 * @param mostBytes of candidates: where all queries' would be more, one part of the queries is searched after the other
 */
export function neighboursByBlocks(
  search: Search,
  k: number,
  { blockSize, order, onProgress, mostBytes = MOST_CANDIDATE_BYTES }: BlockOptions,
  onBlock: (block: NeighbourBlock) => void,
): void {
  const { queries, all, own } = search;
  const numQueries = queries.size(0);
  const rows = Math.max(1, blockSize ?? BLOCK_ROWS);
  const available = all.size(0) - (own ? 1 : 0);
  const keep = Math.min(k + SLACK + Math.floor(k / SLACK), available);
  const cuts = tensor(Int32Array.from(order?.cuts ?? []).sort());
  const mostPlaces = Math.floor(mostBytes / 8);
  const mostQueries = Math.max(rows, Math.floor(mostPlaces / Math.ceil((1 + LEAST_SPARE) * keep)));
  const perPart = own ? mostQueries : Math.min(mostQueries, QUERY_BLOCKS * rows);
  const part = Math.min(numQueries, perPart);
  // All queries in one part save half of the products, which fewer places a query are worth.
  const spare = Math.min(keep, Math.max(Math.floor(mostPlaces / part) - keep, Math.ceil(LEAST_SPARE * keep)));
  const vectors = asProducts(search);
  const expectation = Expectation.of(vectors, all.size(0), keep);
  const work = new Work(numQueries, blocksOf(all.size(0), numQueries, { part, rows, own }), onProgress);
  using candidates = new NeighbourCandidates(part, keep, available, spare);
  const settling: Settling = { candidates, vectors, k, keep, order, cuts };
  for (let first = 0; first < numQueries; first += part) {
    const last = Math.min(first + part, numQueries);
    candidates.clear();
    for (let start = first; expectation && start < last; start += rows) {
      checkStop(search.stop);
      scope(() => {
        const left = turned(vectors.queries(start, Math.min(rows, last - start)));
        candidates.expect(expectation.thresholds(left), start - first);
      });
    }
    offerAll(search, vectors, candidates, { first, last, rows, size: all.size(0), onBlock: work.next });
    for (let start = first; start < last; start += rows) {
      const count = Math.min(rows, last - start);
      onBlock({ start, count, k, ...settle(search, settling, { first, start, count }) });
    }
  }
}

interface BlockOptions extends Pick<NearestOptions, 'blockSize' | 'order' | 'onProgress'> {
  mostBytes?: number;
}

/** How many blocks of distances are looked at. */
function blocksOf(
  size: number,
  numQueries: number,
  { part, rows, own }: { part: number; rows: number; own: boolean },
): number {
  const blocks = (count: number) => Math.ceil(count / rows);
  let total = 0;
  for (let first = 0; first < numQueries; first += part) {
    const last = Math.min(first + part, numQueries);
    const inside = blocks(last - first);
    total += own
      ? (inside * (inside + 1)) / 2 + inside * (blocks(first) + blocks(size - last))
      : inside * blocks(size);
  }
  return total;
}

/** Tells how far a search is, as so many queries of all. */
class Work {
  #done = 0;

  constructor(
    private readonly queries: number,
    private readonly blocks: number,
    private readonly onProgress: NearestOptions['onProgress'],
  ) {}

  readonly next = (): void => {
    this.#done++;
    const done = Math.floor((this.queries * this.#done) / this.blocks);
    this.onProgress?.({ done: Math.min(done, this.queries), total: this.queries });
  };
}

/** What all blocks of queries are settled by. */
interface Settling extends Pick<NearestOptions, 'order'> {
  candidates: NeighbourCandidates;
  vectors: Vectors;
  k: number;
  keep: number;
  cuts: Tensor;
}

/**
 * The k nearest of `count` queries from `start` on.
 *
 * @param of `first`: the query whose candidates are the first
 */
function settle(
  search: Search,
  { candidates, vectors, k, keep, order, cuts }: Settling,
  of: { first: number; start: number; count: number },
): Pick<NeighbourBlock, 'indices' | 'distances'> {
  const { queries, all, own, space, stop } = search;
  const available = all.size(0) - (own ? 1 : 0);
  const block = { indices: new Int32Array(of.count * k), distances: new Float32Array(of.count * k) };
  const rows = Math.max(1, Math.floor(SETTLED_NUMBERS / (keep * all.size(1))));
  for (let done = 0; done < of.count; done += rows) {
    checkStop(stop);
    const [start, count] = [of.start + done, Math.min(rows, of.count - done)];
    scope(() => {
      const found = candidates.settle({
        row: start - of.first,
        queries: queries.narrow(0, start, count),
        gallery: all,
        queryNorms: vectors.queryNorms.narrow(0, start, count),
        galleryNorms: vectors.galleryNorms,
        ...filterError('float32', all.size(1)),
        scale: space.scale,
        k,
        ordered: order?.first ?? k,
        cuts,
        exact: order === undefined,
      });
      block.indices.set(found.indices, done * k);
      block.distances.set(found.distances, done * k);
      const open = keep < available ? found.unsettled : [];
      if (open.length === 0) return;
      const positions = Int32Array.from(open, (row) => start + row);
      const settled = neighboursOf(search, positions, k, 'float64');
      for (const [i, row] of open.entries()) {
        block.indices.set(settled.indices.subarray(i * k, (i + 1) * k), (done + row) * k);
        block.distances.set(settled.distances.subarray(i * k, (i + 1) * k), (done + row) * k);
      }
    });
  }
  return block;
}

/**
 * Vectors whose products are squared distances: [-2x, 1, |x|²] · [y, |y|², 1] = |x - y|², in the search's space. They are made of
 * a few rows whenever these are multiplied, which takes a hundredth of the product: of all, they would be a second copy.
 */
interface Vectors {
  /** (count, D + 2), [x, |x|², 1] of some queries; `turned` makes the other form of them */
  queries(start: number, count: number): Tensor;
  /** (count, D + 2), [y, |y|², 1] */
  gallery(start: number, count: number): Tensor;
  /** The same of rows at any places (int64). */
  galleryAt(places: Tensor): Tensor;
  /** (N,), |x| */
  queryNorms: Tensor;
  /** (M,), |y|; the same tensor where the queries are the gallery */
  galleryNorms: Tensor;
}

function asProducts({ queries, all, space, own, stop }: Search): Vectors {
  const squaresOf = (x: Tensor) => {
    const squares = full([x.size(0), 1], 0, { dtype: x.dtype });
    for (let start = 0; start < x.size(0); start += COPIED_ROWS) {
      checkStop(stop);
      scope(() => {
        const count = Math.min(COPIED_ROWS, x.size(0) - start);
        const centred = centre(x.narrow(0, start, count), space, 'float32');
        squares.narrow(0, start, count).copy_(squaredNorms(centred));
      });
    }
    return squares;
  };
  const extended = (rows: Tensor, squares: Tensor) => {
    const result = full([rows.size(0), rows.size(1) + 2], 1, { dtype: rows.dtype });
    scope(() => {
      result.narrow(1, 0, rows.size(1)).copy_(centre(rows, space, 'float32'));
      result.narrow(1, rows.size(1), 1).copy_(squares);
    });
    return result;
  };
  const gallerySquares = squaresOf(all);
  const querySquares = own ? gallerySquares : squaresOf(queries);
  const galleryNorms = gallerySquares.select(1, 0).sqrt();
  return {
    queries: (start, count) =>
      extended(queries.narrow(0, start, count), querySquares.narrow(0, start, count)),
    gallery: (start, count) => extended(all.narrow(0, start, count), gallerySquares.narrow(0, start, count)),
    galleryAt: (places) => extended(all.indexSelect(0, places), gallerySquares.indexSelect(0, places)),
    queryNorms: own ? galleryNorms : querySquares.select(1, 0).sqrt(),
    galleryNorms,
  };
}

/** Rows [x, |x|², 1] → [-2x, 1, |x|²]. */
function turned(rows: Tensor): Tensor {
  const dimensions = rows.size(1) - 2;
  const scaled = rows.narrow(1, 0, dimensions).mul(-2);
  return cat([scaled, rows.narrow(1, dimensions + 1, 1), rows.narrow(1, dimensions, 1)], 1);
}

/**
 * How near the `keep`-th of a gallery is, guessed from a sample of it: so far out that a guess which is too near is a
 * matter of 6 standard deviations. Without it the first of the gallery are all kept, to be thrown away later.
 */
class Expectation {
  readonly #sample: Tensor;
  readonly #rank: number;

  private constructor(sample: Tensor, rank: number) {
    this.#sample = sample;
    this.#rank = rank;
  }

  /** @returns null where the guess would keep more than the first come, first kept */
  static of(vectors: Vectors, size: number, keep: number): Expectation | null {
    const mean = (SAMPLE * keep) / size;
    const rank = Math.ceil(mean + 6 * Math.sqrt(mean) + 6);
    // The i-th to come is among the nearest with probability keep / i.
    const keptOtherwise = keep * (1 + Math.log(size / keep));
    if (size < 2 * SAMPLE || (rank / SAMPLE) * size > 0.8 * keptOtherwise) return null;
    const positions = tensor(new Random(0).choice(size, SAMPLE), { dtype: 'int64' });
    return new Expectation(vectors.galleryAt(positions), rank);
  }

  /** @param left (B, D + 2), turned @returns (B,) squared distances */
  thresholds(left: Tensor): Tensor {
    return aten.kthvalue(left.matmul(this.#sample.t()), this.#rank, 1)[0];
  }
}

/** Offers the candidates of the queries first … last everything in the gallery. */
function offerAll(
  { own, stop }: Search,
  { queries, gallery }: Vectors,
  candidates: NeighbourCandidates,
  {
    first,
    last,
    rows,
    size,
    onBlock,
  }: { first: number; last: number; rows: number; size: number; onBlock: () => void },
): void {
  const offer = (left: Tensor, right: Tensor, start: number, column: number) => {
    checkStop(stop);
    scope(() => {
      const block = left.matmul(right.t());
      if (own && start === column) aten.fill_diagonal_(block, Number.NaN);
      candidates.offer(block, start - first, column);
      // Columns that are queries of this part too see their rows here, and are spared the block below.
      if (own && column > start && column < last) {
        candidates.offer(block, column - first, start, { transposed: true });
      }
    });
    onBlock();
  };
  const lefts = (start: number) => turned(queries(start, Math.min(rows, last - start)));
  if (!own) {
    // Each block of the gallery meets all queries of the part, so that it is made once for them.
    scope(() => {
      const parts: [number, Tensor][] = [];
      for (let start = first; start < last; start += rows) parts.push([start, lefts(start)]);
      for (let column = 0; column < size; column += rows)
        scope(() => {
          const right = gallery(column, Math.min(rows, size - column));
          for (const [start, left] of parts) offer(left, right, start, column);
        });
    });
    return;
  }
  for (let start = first; start < last; start += rows) {
    scope(() => {
      const left = lefts(start);
      const offerColumns = (from: number, to: number) => {
        for (let column = from; column < to; column += rows)
          scope(() => offer(left, gallery(column, Math.min(rows, to - column)), start, column));
      };
      // Blocks begin where this part's blocks of queries do, so that none is half inside.
      offerColumns(start, last);
      offerColumns(0, first);
      offerColumns(last, size);
    });
  }
}
