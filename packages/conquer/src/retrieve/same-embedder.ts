import { type IndexOrigin, isSeenAlike, UserError } from '@conquer-dml/run';
import type { Embedder } from './embedder.js';

/**
 * Sees to it that rows of an embedder are compared with rows of the same.
 *
 * @param origin of the rows of an index
 * @throws UserError where they are of other weights, or of images seen otherwise
 */
export function requireEmbedderOf(
  origin: IndexOrigin | null,
  { id, view, source }: Pick<Embedder, 'id' | 'view' | 'source'>,
): void {
  const name = source ?? `the embedder ${id}`;
  if (origin === null)
    throw new UserError(
      `the index is of rows that no embedder made: those of ${name} cannot be compared with them`,
    );
  if (id !== origin.embedder)
    throw new UserError(
      `the index was made with other weights than ${name} has now (it was trained on, or is another one): index the folder again`,
    );
  if (!isSeenAlike(origin.preprocessing, view))
    throw new UserError(
      `the index was made of images as ${name} does not see them (its settings changed, or an earlier version made it): index the folder again`,
    );
}

/** @throws UserError where rows of two indexes cannot stand together: of other weights, or of images seen otherwise */
export function requireSameOrigin(own: IndexOrigin | null, from: IndexOrigin | null): void {
  if (
    own?.embedder !== from?.embedder ||
    JSON.stringify(own?.preprocessing) !== JSON.stringify(from?.preprocessing)
  )
    throw new UserError(
      `an index by ${own?.source ?? own?.embedder ?? 'no embedder'} cannot take rows by ${from?.source ?? from?.embedder ?? 'no embedder'}: make one of the two anew`,
    );
}
