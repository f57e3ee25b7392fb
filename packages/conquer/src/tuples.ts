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
