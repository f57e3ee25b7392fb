import { aten, rowProducts, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { poincareDistances } from '../neighbours/poincare.js';
import type { Rows } from '../rows.js';

/** How far two rows are from each other, or how similar they are. */
interface Distance {
  help: string;
  /** Whether larger is nearer. */
  isSimilarity: boolean;
  /** (A, D), (N, D) → (A, N). */
  between(anchors: Tensor, reference: Tensor): Tensor;
}

/** Of which the root's gradient is still finite. */
const LEAST_SQUARE = 1e-12;

/** |x - y|² = |x|² + |y|² - 2 x·y */
function squares(x: Tensor, y: Tensor): Tensor {
  const ofX = x.square().sum(1);
  const ofY = x === y ? ofX : y.square().sum(1);
  return aten.add$Tensor(ofX.unsqueeze(1).add(ofY), rowProducts(x, y), -2);
}

/** What a loss of pairs can compare rows by: they are of length 1, but for the inner product. */
export const distances = {
  cosine: {
    help: 'the cosine of the angle between two rows',
    isSimilarity: true,
    between: rowProducts,
  },
  'inner-product': {
    help: 'the inner product of rows as they were before they were scaled to length 1',
    isSimilarity: true,
    between: rowProducts,
  },
  euclidean: {
    help: 'the Euclidean distance',
    isSimilarity: false,
    between: (a, b) => squares(a, b).clamp({ min: LEAST_SQUARE }).sqrt(),
  },
  squared: {
    help: 'its square',
    isSimilarity: false,
    between: (a, b) => squares(a, b).clamp({ min: 0 }),
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

/** The larger the nearer, divided by a temperature: (A, N); of a distance its negative. */
export function similaritiesBy(
  name: DistanceName,
  anchors: Rows,
  reference: Rows,
  temperature: number,
): Tensor {
  const rowsOf = ({ embeddings, raw }: Rows) => (name === 'inner-product' && raw ? raw : embeddings);
  const [a, b] = [rowsOf(anchors), rowsOf(reference)];
  const { between, isSimilarity }: Distance = distances[name];
  if (!isSimilarity) return between(a, b).div(-temperature);
  // There are fewer numbers in rows than in pairs.
  if (a !== b) return between(a.div(temperature), b);
  const scaled = a.div(Math.sqrt(temperature));
  return between(scaled, scaled);
}
