/**
 * Index tuples, as a miner returns them and a loss takes them: tuple i is the anchor `anchors[i]`, an image of the same
 * class `positives[i]`, and one of another class `negatives[i]`, the latter two of the reference set.
 * The three arrays are equally long; none at all means that the batch has nothing to learn from.
 */
export interface Tuples {
  /** (T,), rows of the anchors. */
  anchors: Int32Array;
  /** (T,), rows of the reference set, which is mostly the anchors' batch. */
  positives: Int32Array;
  /** (T,), likewise. */
  negatives: Int32Array;
}

/**
 * Index pairs, as a miner of pairs returns them: positive pair i is the anchor `positiveAnchors[i]` with
 * `positives[i]`, negative pair j the anchor `negativeAnchors[j]` with `negatives[j]`. A pair may occur several times.
 */
export interface Pairs {
  /** (P,), rows of the anchors. */
  positiveAnchors: Int32Array;
  /** (P,), rows of the reference set. */
  positives: Int32Array;
  /** (N,), rows of the anchors. */
  negativeAnchors: Int32Array;
  /** (N,), rows of the reference set. */
  negatives: Int32Array;
}

/** What a miner found. */
export type Mined = Tuples | Pairs;

const isPairs = (mined: Mined): mined is Pairs => 'positiveAnchors' in mined;

/** The positive and the negative pair of each tuple; pairs as they are. */
export function asPairs(mined: Mined): Pairs {
  if (isPairs(mined)) return mined;
  const { anchors, positives, negatives } = mined;
  return { positiveAnchors: anchors, positives, negativeAnchors: anchors, negatives };
}

/** Every positive pair with every negative pair of its anchor, in their order; tuples as they are. */
export function asTuples(mined: Mined): Tuples {
  if (!isPairs(mined)) return mined;
  const negativesOf = new Map<number, number[]>();
  for (const [i, anchor] of mined.negativeAnchors.entries()) {
    const found = negativesOf.get(anchor);
    if (found) found.push(mined.negatives[i]!);
    else negativesOf.set(anchor, [mined.negatives[i]!]);
  }
  const anchors: number[] = [];
  const positives: number[] = [];
  const negatives: number[] = [];
  for (const [i, anchor] of mined.positiveAnchors.entries()) {
    for (const negative of negativesOf.get(anchor) ?? []) {
      anchors.push(anchor);
      positives.push(mined.positives[i]!);
      negatives.push(negative);
    }
  }
  return {
    anchors: Int32Array.from(anchors),
    positives: Int32Array.from(positives),
    negatives: Int32Array.from(negatives),
  };
}

/** How many there are: tuples, or pairs of both kinds. */
export function countOf(mined: Mined): number {
  return isPairs(mined) ? mined.positives.length + mined.negatives.length : mined.anchors.length;
}

/** How often each of `size` rows of a batch occurs in tuples or pairs, in whatever place. */
export function occurrences(mined: Mined, size: number): Int32Array {
  const counts = new Int32Array(size);
  for (const rows of Object.values(mined) as Int32Array[]) for (const row of rows) counts[row]!++;
  return counts;
}

/** The row of each anchor that has a tuple, or a pair, some of them several times. */
export function minedAnchors(mined: Mined): Iterable<number> {
  return isPairs(mined) ? [...mined.positiveAnchors, ...mined.negativeAnchors] : mined.anchors;
}
