import { didYouMean, UserError } from '@conquer-dml/run';

/** All names of a type of options: the compiler sees to it that none is missing. */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: true };

/**
 * Refuses options of other names. The compiler does that where an object is written out in the call, but not in
 * JavaScript, and not for what is spread into one: a mistyped name would train with the default in silence.
 *
 * @param what whose options they are, for the message
 * @throws UserError that names the first, and the nearest name that there is
 */
export function refuseUnknownOptions<Options extends object>(
  what: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  if (typeof options !== 'object' || options === null)
    throw new UserError(`${what}: expected an object of options, got ${JSON.stringify(options)}`);
  const known = Object.keys(names);
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (unknown !== undefined)
    throw new UserError(
      `${what}: unknown option '${unknown}'${didYouMean(unknown, known)}; expected ${known.join(', ')}`,
    );
}
