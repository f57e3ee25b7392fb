import type { Generator } from '@conquer-dml/torch';
import type { AnyPart } from '../../part.js';
import type { Backbone } from '../backbones/backbone.js';

/** What is known when it is settled what of a backbone learns: after its published weights are in it. */
export interface TuningContext {
  backbone: Backbone;
  /** Draws what is added; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
  /** Draws the dropout of what is added. */
  dropoutGenerator?: Generator | undefined;
}

/** What of a backbone learns, as an experiment names it. It changes the backbone, to which all that it adds belongs. */
export type TuningPart = AnyPart<TuningContext, void>;
