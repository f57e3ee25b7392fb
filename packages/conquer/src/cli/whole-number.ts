import { UserError } from '@conquer-dml/run';

/** The whole number that a flag has. @throws UserError for what is none, or is not within the bounds */
export function wholeNumberOf(
  flag: string,
  text: string,
  { least = 1, most = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const upper = most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : '';
  throw new UserError(`${flag}: expected a whole number of at least ${least}${upper}, got '${text}'`);
}
