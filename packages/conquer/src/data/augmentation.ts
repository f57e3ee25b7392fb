import type { Preprocessing } from '@conquer-dml/run';
import type { AnyPart } from '../part.js';
import type { View } from './view.js';

/** What is known when the view of the training images is made: what the model is given of an image where nothing is drawn. */
export type AugmentationContext = Preprocessing;

/** How training images vary, as an experiment names it. */
export interface AugmentationPart extends AnyPart<AugmentationContext, View> {
  /** Whether the network sees an image whole rather than a part of it: then a cache holds squares. */
  readonly whole: boolean;
}
