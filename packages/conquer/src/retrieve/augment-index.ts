import { scope } from '@conquer-dml/torch';
import { augmentGallery, type ExpansionOptions } from '../neighbours/expansion.js';
import { ImageIndex } from './image-index.js';

/**
 * Database augmentation: an index of the same items, in which each row has taken up the k that are most similar to it, each to the
 * power of α (default 3 and 3), at length 1 again. Queries stay as their model embeds them. The other index stays as it is.
 *
 * All rows are searched among all: the time grows with the square of their number. No photos can be embedded into it later, which
 * would not have taken up anything: augment a new index of all.
 *
 * @returns it belongs to the caller, who disposes it
 * @throws RangeError for options that are none
 */
export function augmentIndex(index: ImageIndex, options: ExpansionOptions = {}): ImageIndex {
  const { origin } = index;
  const made = ImageIndex.empty(
    index.dim,
    origin && { ...origin, source: null, embedder: `${origin.embedder}#augmented` },
  );
  if (index.imageCount > 0)
    scope(() => made.put(augmentGallery(index.allRows(), options), [...index.items()]));
  return made;
}
