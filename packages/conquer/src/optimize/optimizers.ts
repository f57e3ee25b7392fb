import type { NamedPart } from '../named-part.js';
import { adam } from './adam.js';
import { adamw } from './adamw.js';
import type { OptimizerPart } from './optimizer.js';
import { sgd } from './sgd.js';

/** The optimisers that an experiment can name. */
export const optimizers = [adam, adamw, sgd] as const satisfies readonly OptimizerPart[];

/** An optimiser as it stands in an experiment. */
export type NamedOptimizer = NamedPart<(typeof optimizers)[number]>;
