/**
 * What a run's network is given of an image that nothing is drawn for: in evaluation and divisions, in an index, as a
 * query. One definition for all of them, as embeddings of other pixels are other embeddings.
 */
export interface Preprocessing {
  /** Side of what the network sees, in pixels. */
  size: number;
  /** Short side before the centre is cut out, in pixels. */
  resize: number;
  /**
   * How images are reduced, to 8 bits, before any part of them is read, as a cache of decoded images holds them; null:
   * parts are cut out of what the files hold. It is the same whether there is a cache or not.
   */
  reduction: { size: number; square?: boolean | undefined } | null;
}
