import { didYouMean } from '@conquer-dml/run';
import type { z } from 'zod';
import { OptionError, underPath } from './option-error.js';
import { type AnyPart, goesBy, withDefaults } from './part.js';

/** A part as an experiment has it: its name, and its options beside it. For a union of parts, one of them. */
export type NamedPart<P extends { name: string; options: z.ZodObject }> = P extends unknown
  ? { name: P['name'] } & Pick<
      z.input<P['options']>,
      keyof P['options']['shape'] & keyof z.input<P['options']>
    >
  : never;

/**
 * Builds the part that an object names, of the options beside the name.
 *
 * @param path where the object stands in the experiment, such as `data.dataset`; '' where it stands alone
 * @throws OptionError, also where the promise of a part is rejected with one, with the path of the option
 */
export function buildNamed<Context, Built>(
  parts: readonly AnyPart<Context, Built>[],
  { name, ...given }: { name: string },
  context: Context,
  path: string,
): Built {
  const part = parts.find((known) => goesBy(known, name));
  if (part === undefined) {
    const all = parts.flatMap((known) => known.names ?? [known.name]);
    const names = parts.map((known) => known.name).join(', ');
    const problem = `expected one of ${names}, got ${JSON.stringify(name)}${didYouMean(String(name), all)}`;
    throw underPath(path, new OptionError('name', problem));
  }
  try {
    const built = part.build(withDefaults('', part.options, given), context, name);
    if (!(built instanceof Promise)) return built;
    return built.catch((error: unknown) => Promise.reject(underPath(path, error))) as Built;
  } catch (error) {
    throw underPath(path, error);
  }
}
