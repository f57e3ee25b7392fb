import { aten, NeighbourCandidates, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';
import { checkStop } from '../stop-check.js';
import { offerAll } from './block-offers.js';
import { asProducts, turned, type Vectors } from './block-vectors.js';
import { chooseOffers } from './choose-offers.js';
import { neighboursOf } from './nearest-by-rows.js';
import { type Search, SLACK } from './nearest-candidates.js';
import type { NearestOptions, NeighbourBlock } from './neighbours.js';
import type { FilterError } from './product-filter.js';

/** Queries and gallery rows of a block of distances: 16 MB, which the processor's cache can hold. */
const BLOCK_ROWS = 2048;
/** Blocks of queries that are searched together in a gallery that is not theirs. */
const QUERY_BLOCKS = 8;
/** Rows of the gallery from which the distance of the k-th is guessed. */
const SAMPLE = 1024;
/** Numbers whose differences may have to be taken, in what is not interrupted. */
const SETTLED_NUMBERS = 2 ** 26;
/** Bytes of candidates, unless told otherwise: of a million queries at once where 100 neighbours are looked for. */
const MOST_CANDIDATE_BYTES = 1.35 * 2 ** 30;
/** Of the candidates kept, the least share that has to come beyond them before the nearest are selected. */
const LEAST_SPARE = 0.2;

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
  const vectors = asProducts(search);
  const least = Math.min(k + SLACK + Math.floor(k / SLACK), available);
  const { offers, keep } = chooseOffers(search, vectors, { k, keep: least, available });
  const cuts = tensor(Int32Array.from(order?.cuts ?? []).sort());
  const mostPlaces = Math.floor(mostBytes / 8);
  const mostQueries = Math.max(rows, Math.floor(mostPlaces / Math.ceil((1 + LEAST_SPARE) * keep)));
  const perPart = own ? mostQueries : Math.min(mostQueries, QUERY_BLOCKS * rows);
  const part = Math.min(numQueries, perPart);
  // All queries in one part save half of the products, which fewer places a query are worth.
  const spare = Math.min(keep, Math.max(Math.floor(mostPlaces / part) - keep, Math.ceil(LEAST_SPARE * keep)));
  const expectation = Expectation.of(vectors, all.size(0), keep);
  const work = new Work(numQueries, blocksOf(all.size(0), numQueries, { part, rows, own }), onProgress);
  using candidates = new NeighbourCandidates(part, keep, available, spare);
  const settling: Settling = { candidates, vectors, error: offers.error, k, keep, order, cuts };
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
    offerAll(offers, candidates, { first, last, rows, size: all.size(0), own }, () => {
      work.next();
      checkStop(search.stop);
    });
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
  error: FilterError;
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
  { candidates, vectors, error, k, keep, order, cuts }: Settling,
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
        ...error,
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
