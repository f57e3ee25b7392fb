import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EqualRows, type GraphRecord, SegmentFile, UserError } from '@conquer-dml/run';
import { exactRowDistances, MappedGraph, scope, type Tensor, TorchError } from '@conquer-dml/torch';
import type { Index as Graph } from 'usearch';
import type { Neighbours } from '../neighbours/neighbours.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { heldOut, nearestWithout, shareFound } from './graph-proof.js';
import { rowsAt } from './index-rows.js';
import { copiesBeside, rowCopies } from './row-copies.js';

/** Rows that are added, or looked at, at a time. */
const ROWS = 8192;
/** Queries that are asked at a time. */
const QUERIES = 256;
/** Bytes of a graph that are written at a time. */
const WRITTEN = 1 << 24;
/** Candidates that are asked for, from few to many, until enough is found. */
export const WIDTHS = [
  16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 384, 512, 1024, 2048, 4096,
];
/**
 * How rows are kept in the graph, neighbours of a row, and candidates while it is built; where the first does not do, the second. Of 8 bits
 * the graph's own cosines are off by some 0.003, which is enough to find candidates, in half the time that 16 bits take. With 16 neighbours
 * a million rows want five times the candidates of a search.
 */
const SHAPES = [
  { scalar: 'i8', connectivity: 32, expansion: 128 },
  { scalar: 'f16', connectivity: 32, expansion: 256 },
] as const;
/** Of rows of length 1 the cosine, without their lengths computed anew. */
const METRIC = 'ip';
/** How many times more candidates are asked for at most where too few of them are there. */
const MOST_WIDER = 65;
/** Candidates beyond k whose exact similarity is looked at: the graph's own order is nearly right. */
export const CLOSE = 16;
/** Beyond k, for held out rows among the nearest, and for copies of the query. */
const MORE = 32;
const MOST_COPIES = 4096;
/** Standard errors by which the share that is found has to be above the wanted one: with 95 % of certainty it is. */
export const CERTAIN = 1.645;

export interface BuildGraphOptions {
  /** The share of the exact nearest that is to be found; default 0.99. */
  recall?: number | undefined;
  /** How many nearest that is about; default 10. */
  k?: number | undefined;
  /** By so many queries; default 1024, of few rows a quarter of them. */
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

/** How a graph was made, and how well it finds. */
export type GraphFacts = Omit<GraphRecord, 'file' | 'bytes' | 'sha256' | 'segment' | 'copies'>;

export interface GraphShape extends GraphFacts {
  /** None where left out. */
  copies?: readonly EqualRows[];
}

/**
 * A graph over rows (HNSW, Malkov and Yashunin 2016) for searches that look at few of them: usearch builds it, its file is what is searched.
 * It only names candidates: their similarity is computed from the float32 rows, as in an exact search. Its keys are the places of rows; ids
 * it does not know.
 */
export class RowGraph {
  /** By the one that is in the graph. */
  private readonly copies: ReadonlyMap<number, EqualRows>;
  /** Rows that can be found. */
  private readonly count: number;

  private constructor(
    readonly shape: GraphShape,
    private readonly graph: MappedGraph,
    /** Of the file that it was opened from; null: it has no name yet. */
    readonly record: GraphRecord | null = null,
    private readonly file: string | null = null,
  ) {
    const { rows, copies = [] } = shape;
    this.copies = new Map(copies.map((equal) => [equal[0]!, equal]));
    this.count = copies.reduce((sum, equal) => sum + equal.length - 1, rows);
  }

  /**
   * Builds a graph and asks it for the nearest of rows that are held out, beside an exact search: the least number of candidates is kept
   * that finds enough with 95 % of certainty; where none does, it is built of 16 bits. Of copies of a row the first is in the graph for all of
   * them: they would lead to each other alone.
   *
   * @throws UserError where usearch is not installed, or no graph finds enough; RangeError for a recall that is not above 0 and at most 1
   */
  static build(of: GraphRows, options: BuildGraphOptions = {}): RowGraph {
    const { recall: wanted = 0.99, k = 10, queries: count = 1024 } = options;
    if (!(wanted > 0 && wanted <= 1))
      throw new RangeError(`a graph: expected a recall above 0 and at most 1, got ${wanted}`);
    const dim = of.rows.size(1);
    const groups = rowCopies(of.rows, of.places);
    const copies = [...groups.values()];
    const later = new Set(copies.flatMap((equal) => equal.slice(1)));
    const distinct = of.places.filter((place) => !later.has(place));
    const { held, others } = heldOut(distinct, count);
    using queries = rowsAt(of.rows, [...held]);
    // A row that is held out is so with its copies.
    const without = new Set([...held].flatMap((place) => groups.get(place) ?? place));
    const most = Math.min(MOST_COPIES, Math.max(...[...held].map((place) => groups.get(place)?.length ?? 1)));
    const exact = nearestWithout(of.exact(queries, k + MORE + most), k, without);
    let best = 0;
    for (const { scalar, connectivity, expansion } of SHAPES) {
      const graph = emptyGraph({ dim, metric: METRIC, scalar, connectivity }, expansion);
      const filling = { rows: of.rows, scale: scalar === 'i8' ? scaleOf(of.rows, of.places) : null };
      fill(graph, filling, others, options);
      using proven = mapped(graph);
      for (const width of WIDTHS) {
        const made = {
          ...({ dim, metric: METRIC, scalar, connectivity, width } as const),
          ...{ rows: others.length, k, queries: held.length, ...(copies.length > 0 && { copies }) },
        };
        const found = new RowGraph({ ...made, recall: 0 }, proven).nearest(queries, k, of.rows, () => true);
        const { recall, error } = shareFound(found, exact);
        const least = recall - CERTAIN * error;
        best = Math.max(best, least);
        if (least >= wanted) {
          fill(graph, filling, held, { ...options, onProgress: undefined });
          return new RowGraph({ ...made, rows: distinct.length, recall }, mapped(graph));
        }
        if (width >= others.length) break;
      }
    }
    throw new UserError(
      `a graph of these rows finds ${best.toFixed(3)} of the ${k} nearest with 95 % of certainty, expected ${wanted}: search them exactly`,
    );
  }

  /**
   * Opens a graph by memory map, and sees whether it is what its record says.
   * @throws UserError where it is not
   */
  static open(file: string, record: GraphRecord, rows: Tensor): RowGraph {
    const { dim, scalar, rows: count, bytes } = record;
    const fault = (problem: string) => damaged(file, problem);
    if (statSync(file, { throwIfNoEntry: false })?.size !== bytes)
      throw fault('it is not as long as it was written');
    let graph: MappedGraph;
    try {
      graph = new MappedGraph(file, bytes);
    } catch (error) {
      throw fault((error as Error).message);
    }
    const rowBytes = scalar === 'i8' ? dim : 2 * dim;
    const fits = graph.rows === count && graph.rowBytes === rowBytes && dim === rows.size(1);
    const copies = copiesBeside(file, record, rows.size(0));
    if (fits && copies !== null) return new RowGraph({ ...record, copies }, graph, record, file);
    graph.dispose();
    if (fits) throw fault('the list of equal rows beside it is not what was written');
    throw fault(`expected ${count} rows of ${rowBytes} bytes, it holds ${graph.rows} of ${graph.rowBytes}`);
  }

  /** Writes it under a name that no file has. @returns what is to be known of the file */
  save(file: string): Pick<GraphRecord, 'bytes' | 'sha256'> {
    const { bytes } = this.graph;
    using to = new SegmentFile(file);
    for (let done = 0; done < bytes; done += WRITTEN)
      to.write(this.graph.read(done, Math.min(WRITTEN, bytes - done)));
    return { bytes, sha256: to.end() };
  }

  /** Unmaps its file. */
  dispose(): void {
    this.graph.dispose();
  }

  /**
   * @param queries float32 (N, D) on the CPU, contiguous, of length 1
   * @param rows that it was built of
   * @param isThere whether a row has not been removed since
   * @returns nearest first, by the exact distances of the candidates; of equally near ones the lower first. Where a query has fewer than
   *   k neighbours that were found, as where many rows were removed, the places behind them are −1, their distances infinite.
   * @throws UserError where the file turns out to be damaged
   */
  nearest(queries: Tensor, k: number, rows: Tensor, isThere: (row: number) => boolean): Neighbours {
    const wide = Math.min(k, this.count);
    const count = queries.size(0);
    const indices = new Int32Array(count * wide).fill(-1);
    const distances = new Float32Array(count * wide).fill(Number.POSITIVE_INFINITY);
    for (let start = 0; start < count; start += QUERIES) {
      const some = count <= QUERIES ? queries : queries.narrow(0, start, Math.min(QUERIES, count - start));
      const candidates = this.candidates(some, wide, { places: rows.size(0), isThere });
      const to = Int32Array.from(candidates.flat());
      const from = new Int32Array(to.length);
      let done = 0;
      for (const [query, { length }] of candidates.entries()) {
        from.fill(query, done, done + length);
        done += length;
      }
      const exact = exactRowDistances(some, rows, from, to);
      if (some !== queries) some.dispose();
      done = 0;
      for (const [query, places] of candidates.entries()) {
        const found = nearestFirst(places, exact.subarray(done, done + places.length));
        done += places.length;
        for (let i = 0; i < Math.min(wide, found.length); i++) {
          indices[(start + query) * wide + i] = found[i]!.row;
          distances[(start + query) * wide + i] = found[i]!.distance;
        }
      }
    }
    return { k: wide, indices, distances };
  }

  /** Of each query rows that are there, k or more where there are so many, nearest first by the graph's own distances. */
  private candidates(
    queries: Tensor,
    k: number,
    { places, isThere }: { places: number; isThere: (row: number) => boolean },
  ): number[][] {
    const { rows: all, width, k: proven } = this.shape;
    const close = k + CLOSE;
    // What was proven of so many nearest is taken in proportion for more.
    const asked = Math.min(all, Math.max(width, k, Math.ceil((width * k) / proven)));
    const keys = this.keys(queries, asked, places);
    return Array.from({ length: queries.size(0) }, (_, query) => {
      let found = this.placesThere(keys.subarray(query * asked, (query + 1) * asked), close, isThere);
      // Where many were removed, of this query alone.
      for (let more = 4 * asked; found.length < k && more < MOST_WIDER * asked && more < 4 * all; more *= 4) {
        using own = queries.narrow(0, query, 1);
        found = this.placesThere(this.keys(own, Math.min(more, all), places), close, isThere);
      }
      return found;
    });
  }

  /** The first `most` of some keys, and of their copies, that are there. */
  private placesThere(keys: Int32Array, most: number, isThere: (row: number) => boolean): number[] {
    const found: number[] = [];
    for (let at = 0; at < keys.length && keys[at]! >= 0 && found.length < most; at++) {
      const equal = this.copies.get(keys[at]!);
      if (equal !== undefined) found.push(...equal.filter(isThere).slice(0, most - found.length));
      else if (isThere(keys[at]!)) found.push(keys[at]!);
    }
    return found;
  }

  /** Q × width of so many places, −1 behind the last. */
  private keys(queries: Tensor, width: number, places: number): Int32Array {
    try {
      return this.graph.nearest(queries, width, places);
    } catch (error) {
      if (error instanceof TorchError && this.file !== null) throw damaged(this.file, error.message);
      throw error;
    }
  }
}

const damaged = (file: string, problem: string) =>
  new UserError(`${file} is damaged: ${problem}; build the graph anew, or search exactly`);

/** A graph that was built, from now on in a file that has no name any more. */
function mapped(graph: Graph): MappedGraph {
  let folder: string | null = null;
  try {
    folder = mkdtempSync(join(tmpdir(), 'conquer-graph-'));
    const file = join(folder, 'rows.graph');
    graph.save(file);
    return new MappedGraph(file, statSync(file).size);
  } catch (error) {
    throw new UserError(
      `a graph that is built cannot be written into the system's folder of temporary files, ${tmpdir()} (${(error as Error).message}): make room there, or name another one that can be written, TMPDIR`,
    );
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows by their distances; of equally near ones the lower first. */
export function nearestFirst(rows: readonly number[], distances: Float32Array) {
  const found = rows.map((row, at) => ({ row, distance: distances[at]! }));
  return found.sort((a, b) => a.distance - b.distance || a.row - b.row);
}

/** What a graph is filled with. `scale`: of rows that it keeps in 8 bits, by which their numbers become whole ones. */
interface Filling {
  rows: Tensor;
  scale: number | null;
}

/** The largest number becomes 127: usearch itself would take 127 for the length of a row, whose numbers are then a few units each. */
function scaleOf(rows: Tensor, places: Int32Array): number {
  let most = 0;
  for (let start = 0; start < places.length; start += ROWS)
    most = scope(() =>
      Math.max(
        most,
        rowsAt(rows, [...places.subarray(start, start + ROWS)])
          .abs()
          .max()
          .item(),
      ),
    );
  return 127 / most;
}

function fill(
  graph: Graph,
  { rows, scale }: Filling,
  places: Int32Array,
  { threads = 0, onProgress, stop }: BuildGraphOptions,
): void {
  for (let start = 0; start < places.length; start += ROWS) {
    checkStop(stop);
    const some = places.subarray(start, start + ROWS);
    const missing = some.filter((place) => !graph.contains(BigInt(place)));
    const numbers = scope(() => {
      const wanted = rowsAt(rows, [...missing]);
      if (scale === null) return wanted.toTypedArray() as Float32Array;
      return wanted.mul(scale).round().to({ dtype: 'int8' }).toTypedArray() as Int8Array;
    });
    if (missing.length > 0) graph.add(BigUint64Array.from(missing, BigInt), numbers as never, threads);
    onProgress?.({ done: start + some.length, total: places.length });
  }
}

type EmptyShape = Pick<GraphRecord, 'dim' | 'metric' | 'scalar' | 'connectivity'>;

function emptyGraph(shape: EmptyShape, expansion: number): Graph {
  return new (usearch().Index)(configOf(shape, expansion));
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
      `a graph for approximate searches is built by the package usearch, which cannot be loaded (${(error as Error).message.split('\n')[0]}): npm install usearch, or search exactly`,
    );
  }
}

function configOf({ dim, metric, scalar, connectivity }: EmptyShape, expansion: number) {
  // Its types want its enumerations, whose values these are.
  return {
    dimensions: dim,
    metric,
    quantization: scalar,
    connectivity,
    expansion_add: expansion,
    // The least: what is asked for widens it. Left out it is 64.
    expansion_search: WIDTHS[0],
    multi: false,
  } as ConstructorParameters<Usearch['Index']>[0];
}
