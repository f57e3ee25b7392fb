import { arcface } from './arcface.js';
import type { LossPart } from './loss.js';
import { margin } from './margin.js';

/** The losses that an experiment can name. */
export const losses = [margin, arcface] as const satisfies readonly LossPart[];
