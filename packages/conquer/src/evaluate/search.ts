import type { Tensor } from '@conquer-dml/torch';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { StopCheck } from '../stop-check.js';
import type { LabelSets } from './count-relevant.js';

/** Where queries are searched, and how many at a time. */
export interface Search {
  /** (M, D), (M,), and what each query leaves out of it, itself above all; left out: the queries among each other. */
  gallery?: { embeddings: Tensor; labels: Int32Array; own?: OwnInGallery };
  /** All labels of the queries and of what is searched, where images may have several. */
  labelSets?: { queries: LabelSets; searched: LabelSets } | undefined;
  /** Told while the nearest are looked for, as so many queries of all. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  blockSize?: number;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}
