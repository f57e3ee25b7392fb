import type { Tensor } from '@conquer-dml/torch';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { StopCheck } from '../stop-check.js';

/** Where queries are searched, and how many at a time. */
export interface Search {
  /** (M, D), (M,), and what each query leaves out of it, itself above all; left out: the queries among each other. */
  gallery?: { embeddings: Tensor; labels: Int32Array; own?: OwnInGallery };
  blockSize?: number;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}
