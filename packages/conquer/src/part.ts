import type { z } from 'zod';
import { mistakeIn, underPath } from './option-error.js';

/**
 * A choice of an experiment: a loss, a miner, a data set, … Its file holds its options (names, ranges, defaults, help), its
 * class, and this: how the one is made of the other. A line in the list of its folder is all that makes it known: flags,
 * `--help`, the JSON Schema, the docs' tables and the errors that list the choices are made from these.
 *
 * Importing a part must not load libtorch.
 */
export interface Part<Name extends string, Shape extends z.ZodRawShape, Context, Built> {
  /** As experiments and flags have it. */
  readonly name: Name;
  /** Of a part that stands for many: all the names it goes by, `name` among them. */
  readonly names?: readonly Name[];
  /** What it is, in a line. */
  readonly help: string;
  /** Where pytorch-metric-learning, the authors' code and the paper are not one, what this is; for the docs. */
  readonly differs?: string;
  /** Each with a default, and `describe()`d in a line. */
  readonly options: z.ZodObject<Shape, z.core.$strict>;
  /**
   * @param context what the experiment knows by then; what is built belongs to the caller
   * @param name the one it was asked for by; its first when left out
   */
  build(options: z.output<z.ZodObject<Shape, z.core.$strict>>, context: Context, name?: Name): Built;
}

/** Defines a part; the types follow from its options. */
export function part<const Name extends string, Shape extends z.ZodRawShape, Context, Built>(
  definition: Part<Name, Shape, Context, Built>,
): Part<Name, Shape, Context, Built> {
  return definition;
}

/** Whether a part goes by a name. */
export function goesBy(
  part: { readonly name: string; readonly names?: readonly string[] },
  name: string,
): boolean {
  return part.name === name || (part.names?.includes(name) ?? false);
}

/** Any part of a kind. */
export type AnyPart<Context, Built> = Part<string, z.ZodRawShape, Context, Built>;

/**
 * The options of a class, with the defaults of those that were left out.
 *
 * @param what whose options they are, for the message
 * @throws OptionError for an unknown name, with the nearest that there is, or a value out of its range
 */
export function withDefaults<Schema extends z.ZodObject>(
  what: string,
  schema: Schema,
  given: z.input<Schema>,
): z.output<Schema> {
  const result = schema.safeParse(given, { reportInput: true });
  if (result.success) return result.data;
  throw mistakeIn(what, schema, given, result.error);
}

/** As `withDefaults`, of options that stand at a path: its errors have it in front of the option's name. */
export function withDefaultsAt<Schema extends z.ZodObject>(
  path: string,
  schema: Schema,
  given: z.input<Schema>,
): z.output<Schema> {
  try {
    return withDefaults('', schema, given);
  } catch (error) {
    throw underPath(path, error);
  }
}
