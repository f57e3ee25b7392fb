import { UserError } from '@conquer-dml/run';

/** The value of --max-false-match, where it is given. @throws UserError for what is no rate */
export function maxFalseMatchOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rate = Number(text);
  if (rate > 0 && rate <= 1) return rate;
  throw new UserError(
    `--max-false-match: expected a rate above 0 and at most 1, such as 0.001, got '${text}'`,
  );
}
