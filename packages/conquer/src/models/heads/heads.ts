import type { NamedPart } from '../../named-part.js';
import { bnNeck } from './bn-neck.js';
import type { HeadPart } from './head.js';
import { linear } from './linear-head.js';
import { mlp } from './mlp-head.js';

/** The heads that an experiment can name. */
export const heads = [linear, mlp, bnNeck] as const satisfies readonly HeadPart[];

/** A head as it stands in an experiment. */
export type NamedHead = NamedPart<(typeof heads)[number]>;
