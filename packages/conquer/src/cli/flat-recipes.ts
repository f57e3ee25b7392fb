import type { ExperimentInput } from '../experiment/experiment.js';
import { fillExperiment } from './fill.js';
import type { Flag } from './flags.js';

/** Reads recipes of before there were sections, for `readRecipe`: their fields are flags. */
export const flatRecipes =
  (flags: readonly Flag[]) =>
  (fields: Record<string, unknown>, below: ExperimentInput): ExperimentInput => {
    // Where a run goes is not the experiment's.
    const { name: _, 'runs-dir': __, ...others } = fields;
    const texts = Object.entries(others).filter(([, value]) => value !== null);
    const given = Object.fromEntries(texts.map(([name, value]) => [name, String(value)]));
    return fillExperiment(below, given, flags, () => {});
  };
