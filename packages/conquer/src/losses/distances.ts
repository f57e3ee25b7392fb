import type { Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import type { Rows } from '../rows.js';
import { poincareDistances } from './poincare.js';

/** How far two rows are from each other, or how similar they are. */
interface Distance {
  help: string;
  /** Whether larger is nearer. */
  isSimilarity: boolean;
  /** (A, D), (N, D) → (A, N). */
  between(anchors: Tensor, reference: Tensor): Tensor;
}

const products = (anchors: Tensor, reference: Tensor) => anchors.matmul(reference.t());
const unit = (rows: Tensor) => rows.div(rows.norm(2, 1, true).clamp({ min: 1e-12 }));

/**
 * What a loss of pairs can compare rows by. In training the rows are of length 1, so that the first two are the same, and
 * the next two say as much; rows of one's own need not be.
 */
export const distances = {
  cosine: {
    help: 'the cosine of the angle between two rows',
    isSimilarity: true,
    between: (a, b) => {
      const x = unit(a);
      return products(x, a === b ? x : unit(b));
    },
  },
  'inner-product': { help: 'the inner product', isSimilarity: true, between: products },
  euclidean: {
    help: 'the Euclidean distance',
    isSimilarity: false,
    between: (a, b) => pairwiseDistances(a, { to: b, eps: 1e-12 }),
  },
  squared: {
    help: 'its square',
    isSimilarity: false,
    between: (a, b) => pairwiseDistances(a, { to: b, squared: true }),
  },
  hyperbolic: {
    help: 'the distance in the Poincaré ball of curvature -0.1, after the map into it',
    isSimilarity: false,
    between: (a, b) => poincareDistances(a, b),
  },
} as const satisfies Record<string, Distance>;

export type DistanceName = keyof typeof distances;
export const anyDistance = Object.keys(distances) as DistanceName[];
/** Those of which 0 is the nearest. */
export const trueDistances = ['euclidean', 'squared', 'hyperbolic'] as const satisfies DistanceName[];

/** An option of a loss that can compare rows by any of them. */
export const distanceOption = <Name extends DistanceName>(byDefault: Name, of: readonly Name[]) =>
  z
    .enum(of)
    .default(byDefault as never)
    .describe('what rows are compared by');

/** The larger the nearer: (A, N); of a distance its negative. */
export function similaritiesBy(name: DistanceName, anchors: Rows, reference: Rows): Tensor {
  const { between, isSimilarity }: Distance = distances[name];
  const values = between(anchors.embeddings, reference.embeddings);
  return isSimilarity ? values : values.neg();
}
