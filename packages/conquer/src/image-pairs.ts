import type { Pairs } from './tuples.js';

/** Pairs of images of which somebody says whether they show the same: in the place of classes. */
export interface ImagePairs {
  /** (P,) positions in the split. */
  first: Int32Array;
  /** (P,) likewise, another image. */
  second: Int32Array;
  /** (P,) 1: the same; 0: different. */
  same: Uint8Array;
}

/** How many pairs there are of each kind. */
export function countKinds({ same }: ImagePairs): { same: number; different: number } {
  const count = same.reduce((sum, answer) => sum + answer, 0);
  return { same: count, different: same.length - count };
}

/**
 * The pairs of which both images are kept, by where these are then.
 *
 * @param kept the images that are, in their new order, by their positions
 */
export function pairsAmong({ first, second, same }: ImagePairs, kept: Iterable<number>): ImagePairs {
  const places = new Map<number, number>();
  let row = 0;
  for (const image of kept) places.set(image, row++);
  const known = Int32Array.from(same.keys()).filter(
    (pair) => places.has(first[pair]!) && places.has(second[pair]!),
  );
  return {
    first: known.map((pair) => places.get(first[pair]!)!),
    second: known.map((pair) => places.get(second[pair]!)!),
    same: Uint8Array.from(known, (pair) => same[pair]!),
  };
}

/** What is known of the images of a split, looked up. Of most pairs nothing is. */
export class KnownPairs {
  readonly #answers = new Map<number, Map<number, boolean>>();

  /** @param images of the split; an id beyond is that of a replica, as far beyond the image's own */
  constructor(
    { first, second, same }: ImagePairs,
    private readonly images: number,
  ) {
    for (const [pair, answer] of same.entries()) {
      this.#add(first[pair]!, second[pair]!, answer === 1);
      this.#add(second[pair]!, first[pair]!, answer === 1);
    }
  }

  #add(image: number, other: number, same: boolean): void {
    const known = this.#answers.get(image);
    if (known) known.set(other, same);
    else this.#answers.set(image, new Map([[other, same]]));
  }

  /** Whether two images, by their ids, show the same; null: nobody says. */
  of(image: number, other: number): boolean | null {
    return this.#answers.get(image % this.images)?.get(other % this.images) ?? null;
  }

  /** All that is known of anchors and reference rows, by their images' ids: of two anchors in both directions. */
  among(anchors: Int32Array, reference: Int32Array): Pairs {
    const rowsOf = new Map<number, number[]>();
    for (const [row, id] of reference.entries()) {
      const rows = rowsOf.get(id % this.images);
      if (rows) rows.push(row);
      else rowsOf.set(id % this.images, [row]);
    }
    const found: Record<keyof Pairs, number[]> = {
      positiveAnchors: [],
      positives: [],
      negativeAnchors: [],
      negatives: [],
    };
    for (const [anchor, id] of anchors.entries())
      for (const [other, same] of this.#answers.get(id % this.images) ?? [])
        for (const row of rowsOf.get(other) ?? []) {
          found[same ? 'positiveAnchors' : 'negativeAnchors'].push(anchor);
          found[same ? 'positives' : 'negatives'].push(row);
        }
    return {
      positiveAnchors: Int32Array.from(found.positiveAnchors),
      positives: Int32Array.from(found.positives),
      negativeAnchors: Int32Array.from(found.negativeAnchors),
      negatives: Int32Array.from(found.negatives),
    };
  }
}
