import type { Preprocessing } from '@conquer/run';
import type { AnyPart } from '../part.js';
import type { NormalizeOptions } from './normalize.js';
import type { View } from './view.js';

/** What is known when the view of the training images is made: how images are read, and what the backbone expects. */
export interface AugmentationContext extends Preprocessing {
  /** Statistics of what the network was trained with, such as `model.backbone.input`. */
  input: NormalizeOptions;
}

/** How training images vary, as an experiment names it. */
export interface AugmentationPart extends AnyPart<AugmentationContext, View> {
  /** Whether the network sees an image whole rather than a part of it: then a cache holds squares. */
  readonly whole: boolean;
}
