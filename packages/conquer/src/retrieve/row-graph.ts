import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { type GraphRecord, sha256OfFile, UserError, writeProblem } from '@conquer-dml/run';
import { noGrad, numThreads, scope, type Tensor } from '@conquer-dml/torch';
import type { BatchMatches, Index as Graph, Matches } from 'usearch';
import type { Neighbours } from '../neighbours/neighbours.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { rowsAt } from './index-rows.js';

/** Rows that are added, or looked at, at a time. */
const ROWS = 8192;
/** Queries that are asked at a time. */
const QUERIES = 256;
/** Candidates that are asked for, from few to many, until enough is found. */
export const WIDTHS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096];
/**
 * How rows are kept in the graph, neighbours of a row, and candidates while it is built; where the first does not do, the second. Of 8 bits
 * the graph's own cosines are off by some 0.003, which is enough to find candidates, in half the time that 16 bits take.
 */
const SHAPES = [
  { scalar: 'i8', connectivity: 16, expansion: 128 },
  { scalar: 'f16', connectivity: 32, expansion: 256 },
] as const;
/** Candidates beyond k whose exact similarity is looked at: the graph's own order is nearly right. */
export const CLOSE = 16;
/** Beyond k, for held out rows among the nearest. */
const MORE = 32;
/** Standard errors by which the share that is found has to be above the wanted one: with 95 % of certainty it is. */
export const CERTAIN = 1.645;

export interface BuildGraphOptions {
  /** The share of the exact nearest that is to be found; default 0.99. */
  recall?: number | undefined;
  /** How many nearest that is about; default 10. */
  k?: number | undefined;
  /** By so many queries; default 256. */
  queries?: number | undefined;
  /** Threads; default one a core. */
  threads?: number | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  stop?: StopCheck | undefined;
}

/** What a graph is built of, and proven against. */
export interface GraphRows {
  /** float32 (R, D) of length 1. */
  rows: Tensor;
  /** Of the rows that are there, ascending. */
  places: Int32Array;
  /** The exact nearest of some rows of length 1. */
  exact: (queries: Tensor, k: number) => Neighbours;
}

type Scalar = GraphRecord['scalar'];
export type GraphShape = Omit<GraphRecord, 'file' | 'bytes' | 'sha256' | 'segment'>;

/**
 * A graph over rows (HNSW, Malkov and Yashunin 2016, by usearch) for searches that look at few of them. It only names candidates: their
 * similarity is computed from the float32 rows, as in an exact search. Its keys are the places of rows; ids it does not know.
 */
export class RowGraph {
  private constructor(
    readonly shape: GraphShape,
    private readonly graph: Graph,
    /** Of the file that it was opened from; null: it is in memory alone. */
    readonly record: GraphRecord | null = null,
  ) {}

  /**
   * Builds a graph and asks it for the nearest of rows that are held out, beside an exact search: the least number of candidates is kept
   * that finds enough with 95 % of certainty; where none does, it is built with more neighbours a row, of 16 bits.
   *
   * @throws UserError where usearch is not installed, or no graph finds enough; RangeError for a recall that is not above 0 and at most 1
   */
  static build(of: GraphRows, options: BuildGraphOptions = {}): RowGraph {
    const { recall: wanted = 0.99, k = 10, queries: count = 256 } = options;
    if (!(wanted > 0 && wanted <= 1))
      throw new RangeError(`a graph: expected a recall above 0 and at most 1, got ${wanted}`);
    const dim = of.rows.size(1);
    const { held, others } = heldOut(of.places, count);
    using queries = rowsAt(of.rows, [...held]);
    const exact = nearestWithout(of.exact(queries, k + MORE), k, new Set(held));
    let best = 0;
    for (const { scalar, connectivity, expansion } of SHAPES) {
      const graph = emptyGraph(dim, scalar, connectivity, expansion);
      fill(graph, of.rows, others, options);
      for (const width of WIDTHS) {
        const made = {
          ...({ dim, metric: 'cos', scalar, connectivity, width } as const),
          ...{ rows: others.length, k, queries: held.length },
        };
        const found = new RowGraph({ ...made, recall: 0 }, graph).nearest(queries, k, of.rows, () => true);
        const { recall, error } = shareFound(found, exact);
        best = Math.max(best, recall);
        if (recall - CERTAIN * error >= wanted) {
          fill(graph, of.rows, held, { ...options, onProgress: undefined });
          return new RowGraph({ ...made, rows: of.places.length, recall }, graph);
        }
        if (width >= of.places.length) break;
      }
    }
    throw new UserError(
      `a graph of these rows finds ${best.toFixed(3)} of the ${k} nearest, expected ${wanted}: search them exactly`,
    );
  }

  /**
   * Opens a graph by memory map, and sees whether it is what its record says.
   * @throws UserError where it is not, or usearch is not installed
   */
  static open(file: string, record: GraphRecord, rows: Tensor): RowGraph {
    const { dim, scalar, connectivity, rows: count } = record;
    const graph = emptyGraph(dim, scalar, connectivity, 0);
    const fault = (problem: string) =>
      new UserError(`${file} is damaged: ${problem}; build the graph anew, or search exactly`);
    if (statSync(file, { throwIfNoEntry: false })?.size !== record.bytes)
      throw fault('it is not as long as it was written');
    try {
      graph.view(file);
    } catch (error) {
      throw fault((error as Error).message);
    }
    // usearch takes what the file says, and not what it was asked for.
    const [dims, size] = [Number(graph.dimensions()), Number(graph.size())];
    if (
      dims !== dim ||
      size !== count ||
      dim !== rows.size(1) ||
      Number(graph.connectivity()) !== connectivity
    )
      throw fault(`expected ${count} rows of ${dim} numbers, it holds ${size} of ${dims}`);
    return new RowGraph(record, graph, record);
  }

  /** Writes it under a name that no file has. @returns what is to be known of the file */
  save(file: string): Pick<GraphRecord, 'bytes' | 'sha256'> {
    try {
      this.graph.save(file);
      sync(file);
    } catch (error) {
      throw writeProblem(file, error);
    }
    return { bytes: statSync(file).size, sha256: sha256OfFile(file) };
  }

  /**
   * @param queries float32 (N, D) on the CPU, contiguous, of length 1
   * @param rows that it was built of
   * @param isThere whether a row has not been removed since
   * @returns nearest first, by the exact distances of the candidates; of equally near ones the lower first. Where a query has fewer than
   *   k neighbours that were found, the places behind them are −1, their distances infinite.
   */
  nearest(queries: Tensor, k: number, rows: Tensor, isThere: (row: number) => boolean): Neighbours {
    const { dim, rows: all } = this.shape;
    const wide = Math.min(k, all);
    const count = queries.size(0);
    const indices = new Int32Array(count * wide).fill(-1);
    const distances = new Float32Array(count * wide).fill(Number.POSITIVE_INFINITY);
    const numbers = queries.toTypedArray() as Float32Array;
    for (let start = 0; start < count; start += QUERIES) {
      const block = numbers.subarray(start * dim, (start + QUERIES) * dim);
      const candidates = this.candidates(block, wide, isThere);
      const near = scope(() => noGrad(() => rowsAt(rows, candidates.flat()).toTypedArray() as Float32Array));
      let at = 0;
      for (const [query, places] of candidates.entries()) {
        const own = block.subarray(query * dim, (query + 1) * dim);
        const found = measured(own, places, near.subarray(at * dim, (at + places.length) * dim));
        at += places.length;
        for (const [i, { row, distance }] of found.slice(0, wide).entries()) {
          indices[(start + query) * wide + i] = row;
          distances[(start + query) * wide + i] = distance;
        }
      }
    }
    return { k: wide, indices, distances };
  }

  /** Of each query rows that are there, k or more where there are so many, nearest first by the graph's own distances. */
  private candidates(queries: Float32Array, k: number, isThere: (row: number) => boolean): number[][] {
    const { dim, rows: all, width, k: proven } = this.shape;
    const close = k + CLOSE;
    const count = queries.length / dim;
    // What was proven of so many nearest is taken in proportion for more.
    const asked = Math.min(all, Math.max(width, k, Math.ceil((width * k) / proven)));
    const threads = count === 1 ? 1 : Math.min(numThreads(), availableParallelism());
    const { keys, counts } = search(this.graph, queries, asked, threads);
    return Array.from({ length: count }, (_, query) => {
      let found = keysThere(keys, query * asked, counts[query]!, close, isThere);
      // Where many were removed, of this query alone.
      const own = queries.subarray(query * dim, (query + 1) * dim);
      for (let more = 4 * asked; found.length < k && more < 4 * all; more *= 4) {
        const again = search(this.graph, own, Math.min(more, all), 1);
        found = keysThere(again.keys, 0, again.counts[0]!, close, isThere);
      }
      return found;
    });
  }
}

/** As usearch answers for several queries: `wanted` keys each, of which `counts` say how many were found. */
function search(graph: Graph, queries: Float32Array, wanted: number, threads: number) {
  // Whatever its types say, it looks at how many queries there are.
  const found = graph.search(queries, wanted, threads) as Matches | BatchMatches;
  const { keys } = found;
  // A key is 64 bits, the lower half first; places have no more than 31. As BigInts each would be an object.
  const low = new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
  const counts = 'counts' in found ? Array.from(found.counts, Number) : [keys.length];
  return { keys: low, counts };
}

/** The first `most` of some keys that are there. */
function keysThere(
  keys: Uint32Array,
  start: number,
  count: number,
  most: number,
  isThere: (row: number) => boolean,
): number[] {
  const found: number[] = [];
  for (let at = start; at < start + count && found.length < most; at++) {
    const row = keys[2 * at]!;
    if (isThere(row)) found.push(row);
  }
  return found;
}

/** Exact distances, nearest first. @param near (places.length × D), the rows at these places */
export function measured(query: Float32Array, places: readonly number[], near: Float32Array) {
  const dim = query.length;
  const found = places.map((row, at) => {
    let sum = 0;
    for (let i = 0, from = at * dim; i < dim; i++) {
      const difference = query[i]! - near[from + i]!;
      sum += difference * difference;
    }
    return { row, distance: Math.fround(Math.sqrt(sum)) };
  });
  return found.sort((a, b) => a.distance - b.distance || a.row - b.row);
}

/** Queries as they come: rows that the graph does not hold while it is asked for them. Of few rows a quarter at most. */
function heldOut(places: Int32Array, count: number) {
  const some = Math.max(1, Math.min(count, places.length >> 2));
  const step = places.length / some;
  const held = Int32Array.from({ length: some }, (_, i) => places[Math.floor(i * step)]!);
  const isHeld = new Set(held);
  const others = places.filter((place) => !isHeld.has(place));
  // Of a single row.
  return { held, others: others.length > 0 ? others : held };
}

/** The distance of the k-th nearest of each query that is not held out; of fewer, of the last. */
function nearestWithout({ k: width, indices, distances }: Neighbours, k: number, held: ReadonlySet<number>) {
  return Array.from({ length: indices.length / width }, (_, query) => {
    const left = distances
      .subarray(query * width, (query + 1) * width)
      .filter((_, at) => !held.has(indices[query * width + at]!));
    return { count: Math.min(k, left.length), last: left[Math.min(k, left.length) - 1] ?? 0 };
  });
}

function fill(
  graph: Graph,
  rows: Tensor,
  places: Int32Array,
  { threads = 0, onProgress, stop }: BuildGraphOptions,
): void {
  for (let start = 0; start < places.length; start += ROWS) {
    checkStop(stop);
    const some = places.subarray(start, start + ROWS);
    const missing = some.filter((place) => !graph.contains(BigInt(place)));
    const numbers = scope(() => rowsAt(rows, [...missing]).toTypedArray() as Float32Array);
    if (missing.length > 0) graph.add(BigUint64Array.from(missing, BigInt), numbers, threads);
    onProgress?.({ done: start + some.length, total: places.length });
  }
}

function emptyGraph(dim: number, scalar: Scalar, connectivity: number, expansion: number): Graph {
  return new (usearch().Index)(configOf(dim, scalar, connectivity, expansion));
}

/** The share of the nearest that was found, and its standard error over the queries. */
function shareFound(found: Neighbours, exact: readonly { count: number; last: number }[]) {
  const shares = exact.flatMap(({ count, last }, query) => {
    const distances = found.distances.subarray(query * found.k, query * found.k + count);
    // By distance: of many copies of a row any will do.
    const same = distances.filter((distance) => distance <= last * (1 + 1e-6)).length;
    return count === 0 ? [] : [same / count];
  });
  return meanShare(shares);
}

/** The mean of some shares, and its standard error. */
export function meanShare(shares: readonly number[]) {
  const n = shares.length;
  if (n === 0) return { recall: 1, error: 0 };
  const recall = shares.reduce((sum, share) => sum + share, 0) / n;
  const squares = shares.reduce((sum, share) => sum + (share - recall) ** 2, 0);
  return { recall, error: Math.sqrt(squares) / n };
}

function sync(file: string): void {
  const opened = openSync(file, 'r+');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

type Usearch = typeof import('usearch');
let loaded: Usearch | undefined;

/** @throws UserError where it is not installed */
function usearch(): Usearch {
  try {
    loaded ??= createRequire(import.meta.url)('usearch') as Usearch;
    return loaded;
  } catch (error) {
    throw new UserError(
      `approximate searches need the package usearch, which cannot be loaded (${(error as Error).message.split('\n')[0]}): npm install usearch, or search exactly`,
    );
  }
}

function configOf(dimensions: number, scalar: Scalar, connectivity: number, expansion: number) {
  // Its types want its enumerations, whose values these are.
  return {
    dimensions,
    metric: 'cos',
    quantization: scalar,
    connectivity,
    expansion_add: expansion,
    // The least: what is asked for widens it. Left out it is 64.
    expansion_search: WIDTHS[0],
    multi: false,
  } as ConstructorParameters<Usearch['Index']>[0];
}
