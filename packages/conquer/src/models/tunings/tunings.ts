import type { NamedPart } from '../../named-part.js';
import { fullTuning } from './full-tuning.js';
import { lora } from './lora.js';
import { prompts } from './prompt-tuning.js';
import type { TuningPart } from './tuning.js';

/** What an experiment can name for what of the backbone learns. */
export const tunings = [fullTuning, lora, prompts] as const satisfies readonly TuningPart[];

/** As it stands in an experiment. */
export type NamedTuning = NamedPart<(typeof tunings)[number]>;
