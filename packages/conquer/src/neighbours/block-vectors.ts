import { cat, full, scope, type Tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import type { Search } from './nearest-candidates.js';
import { centre, squaredNorms } from './product-filter.js';

/** Rows that are centred at a time. */
export const COPIED_ROWS = 8192;

/**
 * Vectors whose products are squared distances: [-2x, 1, |x|²] · [y, |y|², 1] = |x - y|², in the search's space. They are made of
 * a few rows whenever these are multiplied, which takes a hundredth of the product: of all, they would be a second copy.
 */
export interface Vectors {
  /** D */
  dimensions: number;
  /** (count, D + 2), [x, |x|², 1] of some queries; `turned` makes the other form of them */
  queries(start: number, count: number): Tensor;
  /** (count, D + 2), [y, |y|², 1] */
  gallery(start: number, count: number): Tensor;
  /** The same of rows at any places (int64). */
  queriesAt(places: Tensor): Tensor;
  galleryAt(places: Tensor): Tensor;
  /** (count, D) centred queries and gallery rows, with |x|² (count,) */
  centredQueries(start: number, count: number): Centred;
  centredGallery(start: number, count: number): Centred;
  /** The least of all |x|². */
  leastSquare(): number;
  /** (N,), |x| */
  queryNorms: Tensor;
  /** (M,), |y|; the same tensor where the queries are the gallery */
  galleryNorms: Tensor;
}

interface Centred {
  rows: Tensor;
  squares: Tensor;
}

export function asProducts({ queries, all, space, own, stop }: Search): Vectors {
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
  const centred = (rows: Tensor, squares: Tensor): Centred => ({
    rows: centre(rows, space, 'float32'),
    squares: squares.select(1, 0).contiguous(),
  });
  const galleryNorms = gallerySquares.select(1, 0).sqrt();
  return {
    dimensions: all.size(1),
    queries: (start, count) =>
      extended(queries.narrow(0, start, count), querySquares.narrow(0, start, count)),
    gallery: (start, count) => extended(all.narrow(0, start, count), gallerySquares.narrow(0, start, count)),
    queriesAt: (places) => extended(queries.indexSelect(0, places), querySquares.indexSelect(0, places)),
    galleryAt: (places) => extended(all.indexSelect(0, places), gallerySquares.indexSelect(0, places)),
    centredQueries: (start, count) =>
      centred(queries.narrow(0, start, count), querySquares.narrow(0, start, count)),
    centredGallery: (start, count) =>
      centred(all.narrow(0, start, count), gallerySquares.narrow(0, start, count)),
    leastSquare: () =>
      scope(() => Math.min(...[querySquares, gallerySquares].map((some) => some.amin([0, 1]).item()))),
    queryNorms: own ? galleryNorms : querySquares.select(1, 0).sqrt(),
    galleryNorms,
  };
}

/** Rows [x, |x|², 1] → [-2x, 1, |x|²]. */
export function turned(rows: Tensor): Tensor {
  const dimensions = rows.size(1) - 2;
  const scaled = rows.narrow(1, 0, dimensions).mul(-2);
  return cat([scaled, rows.narrow(1, dimensions + 1, 1), rows.narrow(1, dimensions, 1)], 1);
}
