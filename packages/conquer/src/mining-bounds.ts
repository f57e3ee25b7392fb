/** A distance, or one for each class of the anchor. */
export type Cutoff = number | ((anchorLabel: number) => number);

/** What a miner asks the loss that its tuples are for. */
export interface MiningBounds {
  /**
   * From which distance on a negative has no loss at present. It is asked for every batch; a function throws UserError
   * for a class that there is not.
   */
  zeroLossDistance(): Cutoff;
  /** How much farther than the positive a negative may be and still have a loss. */
  semihardMargin(): number;
}

/** Of a loss that says nothing of its own: the margin loss's as it begins, and the triplet losses'. */
export const usualBounds: MiningBounds = { zeroLossDistance: () => 1.4, semihardMargin: () => 0.2 };
