import { adaptive } from './adaptive.js';
import type { SamplerPart } from './batch-sampler.js';
import { classBalanced } from './class-balanced.js';
import { npairs } from './npairs.js';
import { random } from './random-batches.js';

/** The samplers that an experiment can name. */
export const samplers = [adaptive, classBalanced, npairs, random] as const satisfies readonly SamplerPart[];
