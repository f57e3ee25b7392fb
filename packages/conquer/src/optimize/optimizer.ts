import type { optim } from '@conquer-dml/torch';
import type { AnyPart } from '../part.js';
import type { GroupOptions, ParameterGroup } from './parameter-groups.js';

/** Makes the optimiser of parameters in groups, whose learning rates are set afterwards. It belongs to the caller. */
export type Algorithm = (groups: readonly ParameterGroup[]) => optim.Optimizer<GroupOptions>;

/** An optimiser as an experiment names it. It needs to know nothing of the experiment. */
export type OptimizerPart = AnyPart<unknown, Algorithm>;
