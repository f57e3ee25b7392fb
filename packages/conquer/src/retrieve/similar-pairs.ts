import type { Tensor } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { ImageIndex } from './image-index.js';
import { rowsAt } from './index-rows.js';
import type { ImageOf, Match } from './match.js';

/** Rows that are searched at a time. */
const QUERIES = 256;
/** Neighbours that are looked at first; where all of them are similar, more. */
const NEIGHBOURS = 8;

export interface SimilarPairsOptions {
  /** Cosine from which on two images are a pair, −1…1. */
  minSimilarity: number;
  /** Ends it, with Interrupted. */
  stop?: StopCheck | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** Two images of different items that are alike. */
export interface SimilarPair {
  first: ImageOf;
  second: ImageOf;
  similarity: number;
}

/** All pairs of images of different items in an index that are alike: each once, the one that was added first first. */
export function* similarPairs(
  index: ImageIndex,
  { minSimilarity, stop, onProgress }: SimilarPairsOptions,
): Generator<SimilarPair> {
  if (!(minSimilarity >= -1 && minSimilarity <= 1))
    throw new RangeError(`similar pairs: expected a similarity of −1 to 1, got ${minSimilarity}`);
  const order = new Map<string, number>();
  for (const { id } of index.items()) order.set(id, order.size);
  let done = 0;
  for (const { rows, images } of index.blocks(QUERIES)) {
    checkStop(stop);
    for (const [at, matches] of similarTo(index, rows, minSimilarity).entries()) {
      const first = images[at]!;
      const place = order.get(first.id)!;
      for (const { id, image, path, similarity } of matches)
        if (order.get(id)! > place) yield { first, second: { id, image, path }, similarity };
    }
    done += images.length;
    onProgress?.({ done, total: index.imageCount });
  }
}

/** Of each row all that are at least so similar. */
function similarTo(index: ImageIndex, rows: Tensor, least: number): Match[][] {
  const found: Match[][] = [];
  let open = Array.from({ length: rows.size(0) }, (_, at) => at);
  for (let k = NEIGHBOURS; open.length > 0; k *= 8) {
    using some = rowsAt(rows, open);
    const matches = index.search(some, k, { per: 'image' });
    const more: number[] = [];
    for (const [i, at] of open.entries()) {
      const near = matches[i]!.filter(({ similarity }) => similarity >= least);
      if (near.length === k && k < index.imageCount) more.push(at);
      else found[at] = near;
    }
    open = more;
  }
  return found;
}

/** Images that belong together, by one of their pairs each. */
export interface SimilarGroup {
  images: ImageOf[];
}

/**
 * Groups of images that hang together by pairs (the connected components, single linkage), the largest first; images that are in
 * no pair are in no group. Images of one item are together.
 */
export function similarGroups(index: ImageIndex, options: SimilarPairsOptions): SimilarGroup[] {
  const parents = new Map<string, string>();
  const rootOf = (id: string): string => {
    let root = id;
    while (parents.has(root)) root = parents.get(root)!;
    for (let at = id; at !== root; ) {
      const next = parents.get(at)!;
      parents.set(at, root);
      at = next;
    }
    return root;
  };
  const paired = new Set<string>();
  for (const { first, second } of similarPairs(index, options)) {
    paired.add(first.id).add(second.id);
    const [a, b] = [rootOf(first.id), rootOf(second.id)];
    if (a !== b) parents.set(b, a);
  }
  const groups = new Map<string, ImageOf[]>();
  for (const { images } of index.blocks(QUERIES)) {
    for (const image of images) {
      if (!paired.has(image.id)) continue;
      const root = rootOf(image.id);
      const group = groups.get(root);
      if (group) group.push(image);
      else groups.set(root, [image]);
    }
  }
  return [...groups.values()].map((images) => ({ images })).sort((a, b) => b.images.length - a.images.length);
}
