/**
 * Index tuples into one batch, as a miner returns them and a loss takes them: tuple i is the anchor
 * `anchors[i]`, an image of the same class `positives[i]`, and one of another class `negatives[i]`.
 * The three arrays are equally long; none at all means that the batch has nothing to learn from.
 */
export interface Tuples {
  /** (T,), rows of the batch. */
  anchors: Int32Array;
  /** (T,) */
  positives: Int32Array;
  /** (T,) */
  negatives: Int32Array;
}
