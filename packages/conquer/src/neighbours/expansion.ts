import { arange, cat, F, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { nearestNeighbours } from './nearest.js';

export interface ExpansionOptions {
  /** How many of the most similar are taken; default 3. */
  k?: number;
  /** Each weighs its similarity to the power of this; default 3. 0: all weigh the same. */
  alpha?: number;
}

/**
 * α query expansion (Radenović, Tolias, Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019): each
 * query becomes the query plus the k most similar of the gallery, each times its similarity to the power of α, at length 1
 * again.
 *
 * @param queries (Q, D), of length 1
 * @param gallery (M, D), of length 1
 * @returns (Q, D), of the innermost open scope() or the caller
 * @throws RangeError for options that are none
 */
export function expandQueries(queries: Tensor, gallery: Tensor, options: ExpansionOptions = {}): Tensor {
  const { k, alpha } = checked(options);
  return unscoped(() => {
    const found = indicesOf(nearestNeighbours(queries, gallery, k));
    return F.normalize(queries.add(weightedSums(queries, gallery, found, { alpha })));
  });
}

/**
 * Database augmentation: the same of each image of a gallery among the others. Its own similarity counts as 0, so that it may
 * be among the k where others are less similar.
 *
 * @param gallery (M, D), of length 1
 * @returns (M, D), of the innermost open scope() or the caller
 */
export function augmentGallery(gallery: Tensor, options: ExpansionOptions = {}): Tensor {
  const { k, alpha } = checked(options);
  return unscoped(() => {
    const size = gallery.size(0);
    // Itself and the k others: an image and those equal to it come in any order of places.
    const found = nearestNeighbours(gallery, gallery, Math.min(size, k + 1));
    const width = Math.min(k, size);
    const similarities = found.distances.map((distance) => 1 - distance ** 2 / 2);
    const chosen = new Int32Array(size * width);
    for (let row = 0; row < size; row++) {
      const ranked = Array.from({ length: found.k }, (_, at) => {
        const place = found.indices[row * found.k + at]!;
        return { place, similarity: place === row ? 0 : similarities[row * found.k + at]! };
      });
      // Farther than k + 1 others it was not found; it would be the last to be taken.
      if (!ranked.some(({ place }) => place === row)) ranked.push({ place: row, similarity: 0 });
      ranked.sort((a, b) => b.similarity - a.similarity || a.place - b.place);
      chosen.set(
        ranked.slice(0, width).map(({ place }) => place),
        row * width,
      );
    }
    const places = tensor(chosen, { shape: [size, width], dtype: 'int64', device: gallery.device });
    const itself = arange(size, undefined, 1, { device: gallery.device }).view([-1, 1]);
    const zero = itself.eq(places);
    return F.normalize(gallery.add(weightedSums(gallery, gallery, places, { alpha, zero })));
  });
}

/**
 * Queries and gallery expanded in one set, as fast-reid does: each becomes the mean over the k most similar, itself
 * among them, of similarity to the power of α times the vector as it stands; `times` rounds. The result has other lengths
 * than 1.
 *
 * @returns (Q, D) and (M, D), of the innermost open scope() or the caller
 */
export function expandJointly(
  queries: Tensor,
  gallery: Tensor,
  { times = 1, ...options }: ExpansionOptions & { times?: number } = {},
): { queries: Tensor; gallery: Tensor } {
  const { k, alpha } = checked(options);
  if (!Number.isInteger(times) || times < 1)
    throw new RangeError(`joint expansion: expected at least 1 round, got ${times}`);
  return scope(() =>
    noGrad(() => {
      let all = cat([queries, gallery]);
      for (let round = 0; round < times; round++) {
        const unit = F.normalize(all);
        const found = indicesOf(nearestNeighbours(unit, unit, k));
        all = weightedSums(unit, unit, found, { alpha, values: all }).div(found.size(1));
      }
      return {
        queries: all.narrow(0, 0, queries.size(0)).clone(),
        gallery: all.narrow(0, queries.size(0), gallery.size(0)).clone(),
      };
    }),
  );
}

const unscoped = (work: () => Tensor) => scope(() => noGrad(work));

function checked({ k = 3, alpha = 3 }: ExpansionOptions): Required<ExpansionOptions> {
  if (!Number.isInteger(k) || k < 1)
    throw new RangeError(`expansion: expected a whole number of at least 1 of neighbours, got ${k}`);
  if (!(alpha >= 0)) throw new RangeError(`expansion: expected a power of at least 0, got ${alpha}`);
  return { k, alpha };
}

function indicesOf({ indices, k }: { indices: Int32Array; k: number }): Tensor {
  return tensor(indices, { shape: [k === 0 ? 0 : indices.length / k, k], dtype: 'int64' });
}

/** (N, k) inner products of rows with those at `places` (N, k). */
function similaritiesOf(rows: Tensor, others: Tensor, places: Tensor): Tensor {
  return taken(others, places).matmul(rows.unsqueeze(2)).squeeze(2);
}

/** (N, k, D) */
function taken(rows: Tensor, places: Tensor): Tensor {
  const [count, k] = places.shape as [number, number];
  return rows.indexSelect(0, places.reshape([-1])).reshape([count, k, rows.size(1)]);
}

/** Numbers of what is taken at a time. */
const BLOCK_NUMBERS = 2 ** 23;

interface Weighing {
  alpha: number;
  /** (N, k) bool: where the similarity counts as 0. */
  zero?: Tensor;
  /** What is taken; by default what was compared. */
  values?: Tensor;
}

/**
 * (N, D): the sum of what was found at `places` (N, k), each times its similarity to the power of α. A similarity below 0 to a
 * broken power is none, and counts as 0.
 */
function weightedSums(
  rows: Tensor,
  others: Tensor,
  places: Tensor,
  { alpha, zero, values = others }: Weighing,
): Tensor {
  const at = places.to({ device: others.device });
  const [size, k] = at.shape as [number, number];
  const some = Math.max(1, Math.floor(BLOCK_NUMBERS / (k * others.size(1))));
  const sums: Tensor[] = [];
  for (let start = 0; start < size; start += some) {
    const count = Math.min(some, size - start);
    const part = scope(() => {
      const here = at.narrow(0, start, count);
      const similarities = similaritiesOf(rows.narrow(0, start, count), others, here);
      const counted = zero ? similarities.maskedFill_(zero.narrow(0, start, count), 0) : similarities;
      const weights = (Number.isInteger(alpha) ? counted : counted.clamp({ min: 0 })).pow(alpha);
      return taken(values, here).mul(weights.unsqueeze(2)).sum(1);
    });
    sums.push(part);
  }
  const all = cat(sums);
  for (const part of sums) part.dispose();
  return all;
}
