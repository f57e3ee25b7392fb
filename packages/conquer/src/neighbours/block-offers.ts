import { aten, type NeighbourCandidates, packRows, scope } from '@conquer-dml/torch';
import { turned, type Vectors } from './block-vectors.js';
import { type FilterError, filterError, integerError } from './product-filter.js';

/** Queries `first` to `last` and the gallery of `size` that is offered to them, in blocks of `rows`. */
export interface Part {
  first: number;
  last: number;
  rows: number;
  size: number;
  /** The queries are the gallery. */
  own: boolean;
}

interface Span {
  start: number;
  count: number;
}

/** A way to offer candidates blocks of squared distances. */
export interface BlockOffers {
  /** By how much an offered one may be wrong. */
  readonly error: FilterError;
  /** Takes some blocks of queries; what it gives offers them one block of the gallery. */
  facing(queries: Span[], candidates: NeighbourCandidates, part: Part): (gallery: Span) => void;
}

/** Whether a block is one of queries with themselves, and whether its columns, queries of this part too, see its rows here. */
function relation({ own, last }: Part, start: number, column: number): { same: boolean; both: boolean } {
  return { same: own && start === column, both: own && column > start && column < last };
}

/** By products of matrices. */
export class MatrixOffers implements BlockOffers {
  readonly error: FilterError;

  constructor(private readonly vectors: Vectors) {
    this.error = filterError('float32', vectors.dimensions);
  }

  facing(queries: Span[], candidates: NeighbourCandidates, part: Part): (gallery: Span) => void {
    const { vectors } = this;
    const lefts = queries.map(({ start, count }) => ({ start, left: turned(vectors.queries(start, count)) }));
    return ({ start: column, count }) => {
      const right = vectors.gallery(column, count);
      for (const { start, left } of lefts)
        scope(() => {
          const block = left.matmul(right.t());
          const { same, both } = relation(part, start, column);
          if (same) aten.fill_diagonal_(block, Number.NaN);
          candidates.offer(block, start - part.first, column);
          if (both) candidates.offer(block, column - part.first, start, { transposed: true });
        });
    };
  }
}

/**
 * By products of 16-bit integers: in 0.6 of the time, and no block is ever written. What is offered is some ten times less precise,
 * so that k and the candidates beyond must lie farther apart; else rows stay unsettled, each of which costs more than all this saves.
 */
export class IntegerOffers implements BlockOffers {
  readonly error: FilterError;

  private constructor(private readonly vectors: Vectors) {
    this.error = integerError(vectors.dimensions);
  }

  /** @returns null where the processor has no instructions for them, or a row is so near the mean that it rounds to nothing */
  static of(vectors: Vectors): IntegerOffers | null {
    const possible = vectors.leastSquare() >= LEAST_SQUARE;
    return possible && scope(() => packed(vectors.centredGallery(0, 1), 'rows') !== null)
      ? new IntegerOffers(vectors)
      : null;
  }

  facing(queries: Span[], candidates: NeighbourCandidates, part: Part): (gallery: Span) => void {
    const { vectors } = this;
    const lefts = queries.map(({ start, count }) => {
      return { start, left: packed(vectors.centredQueries(start, count), 'rows')! };
    });
    return ({ start: column, count }) => {
      const right = packed(vectors.centredGallery(column, count), 'columns')!;
      for (const { start, left } of lefts) {
        const { same, both } = relation(part, start, column);
        const transposed = both ? { row: column - part.first, index: start } : undefined;
        candidates.offerPacked(left, right, { row: start - part.first, index: column, transposed, same });
      }
    };
  }
}

/** The least |x|² that integers are tried for: what is smaller may be one that float32 has no number for. */
const LEAST_SQUARE = 2 ** -80;

const packed = ({ rows, squares }: ReturnType<Vectors['centredGallery']>, side: 'rows' | 'columns') =>
  packRows(rows, squares, side);

/**
 * Offers candidates of a part's queries everything in the gallery.
 *
 * @param onBlock called after each block
 */
export function offerAll(
  offers: BlockOffers,
  candidates: NeighbourCandidates,
  part: Part,
  onBlock: () => void,
): void {
  const { first, last, rows, size, own } = part;
  const queries = blocksFrom(first, last, rows);
  // Each block of a gallery meets all queries of the part, so that it is made once for them. Of queries among themselves blocks
  // begin where this part's do, so that none is half inside, and those are spared that others see from the other side.
  const groups = own
    ? queries.map((block) => {
        const outside = [...blocksFrom(0, first, rows), ...blocksFrom(last, size, rows)];
        return { some: [block], gallery: [...blocksFrom(block.start, last, rows), ...outside] };
      })
    : [{ some: queries, gallery: blocksFrom(0, size, rows) }];
  for (const { some, gallery } of groups) {
    scope(() => {
      const offer = offers.facing(some, candidates, part);
      for (const block of gallery) {
        scope(() => offer(block));
        for (const _ of some) onBlock();
      }
    });
  }
}

function blocksFrom(start: number, end: number, rows: number): Span[] {
  const count = Math.max(0, Math.ceil((end - start) / rows));
  return Array.from({ length: count }, (_, i) => {
    const from = start + i * rows;
    return { start: from, count: Math.min(rows, end - from) };
  });
}
