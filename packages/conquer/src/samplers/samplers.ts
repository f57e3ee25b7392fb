import { adaptive } from './adaptive.js';
import type { SamplerPart } from './batch-sampler.js';
import { classBalanced } from './class-balanced.js';
import { hardImages } from './hard-images.js';
import { hierarchical } from './hierarchical.js';
import { npairs } from './npairs.js';
import { pairs } from './pairs.js';
import { pk } from './pk.js';
import { random } from './random-batches.js';

/** The samplers that an experiment can name. */
export const samplers = [
  adaptive,
  classBalanced,
  pk,
  hierarchical,
  hardImages,
  npairs,
  random,
  pairs,
] as const satisfies readonly SamplerPart[];
