import type { Parts } from './experiment.js';
import type { OwnParts } from './own-parts.js';

/** How far something is that is prepared once. */
export type Progress = (progress: { done: number; total: number }) => void;

/** Who builds, and is told of it. */
export interface Builder {
  /** Default: those that come with the program. */
  parts?: Parts;
  /** Code in the place of named parts. */
  own?: OwnParts;
  /** Asked for each preparation that may take long, such as decoding, with what it is. */
  onPreparation?: (what: string) => Progress;
  /** Told in a line what is left out or deviates. */
  onWarning?: (text: string) => void;
  /** Told in a line what is worth knowing and as it should be. */
  onNote?: (text: string) => void;
  signal?: AbortSignal;
}
