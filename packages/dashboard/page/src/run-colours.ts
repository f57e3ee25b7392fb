import { categorical } from './colours.js';

/** A run's colour: that of its place among the chosen ones, the same in every view. */
export const colourOf = (chosen: readonly string[], id: string): string =>
  categorical(Math.max(0, chosen.indexOf(id)));
