import { F, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { augmentGallery, expandJointly, expandQueries } from '../neighbours/expansion.js';

/** How embeddings take up what is most similar to them, at test time. */
export const expandOptions = z.strictObject({
  what: z
    .enum(['queries', 'gallery', 'both', 'joint'])
    .default('queries')
    .describe(
      'what is expanded: queries by the gallery (α query expansion), the gallery among itself (database augmentation), both, or both in one set (joint, as fast-reid)',
    ),
  k: z.int().min(1).default(3).describe('how many of the most similar are taken'),
  alpha: z.number().min(0).default(3).describe('each weighs its similarity to this power'),
  times: z.int().min(1).default(1).describe('rounds of joint'),
});

export type ExpandOptions = z.input<typeof expandOptions>;

/**
 * Embeddings brought to length 1, expanded, at length 1 again. Queries that are searched among themselves are their own gallery: each takes up the
 * others.
 *
 * @param given (N, D) @param searchedIn the gallery (M, D); null: the queries
 * @returns tensors that belong to the innermost open scope(), or to the caller; gallery null where none was given
 */
export function expanded(
  given: Tensor,
  searchedIn: Tensor | null,
  options: ExpandOptions,
): { queries: Tensor; gallery: Tensor | null } {
  const [queries, gallery] = [F.normalize(given), searchedIn && F.normalize(searchedIn)];
  const { what, k, alpha, times } = expandOptions.parse(options);
  if (what === 'joint') {
    const found = expandJointly(queries, gallery ?? queries.narrow(0, 0, 0), { k, alpha, times });
    return { queries: F.normalize(found.queries), gallery: gallery && F.normalize(found.gallery) };
  }
  if (gallery === null) return { queries: augmentGallery(queries, { k, alpha }), gallery: null };
  const searched = what === 'queries' ? gallery : augmentGallery(gallery, { k, alpha });
  return {
    queries: what === 'gallery' ? queries : expandQueries(queries, searched, { k, alpha }),
    gallery: searched,
  };
}
