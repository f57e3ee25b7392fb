import { didYouMean, UserError } from '@conquer-dml/run';
import { z } from 'zod';

/** A mistake in an experiment or in the options of a part. The command line says its flag in the place of its path. */
export class OptionError extends UserError {
  /**
   * @param path of the option, such as `loss.margin`
   * @param problem what was expected, what came, and what to do
   * @param what whose option it is, in front of the path
   * @param part the name of the part whose option it is, where that is known: others may have one at the same path
   */
  constructor(
    readonly path: string,
    readonly problem: string,
    what?: string,
    readonly part?: string,
  ) {
    const place = [what, path].filter(Boolean).join(': ');
    super(place === '' ? problem : `${place}: ${problem}`);
  }
}

/** An error as it came, but with where its option stands in front of the option's path. */
export function underPath(path: string, error: unknown): unknown {
  if (!(error instanceof OptionError) || path === '') return error;
  return new OptionError(error.path === '' ? path : `${path}.${error.path}`, error.problem, '', error.part);
}

/** What is used here of a JSON Schema. */
export interface JsonSchema {
  /** Of a value that may be null and has no range, a list. */
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  items?: JsonSchema;
  prefixItems?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

const known = new WeakMap<z.ZodType, JsonSchema>();

/** JSON Schema of what may be given: defaults may be left out. Made once for each schema. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const json =
    known.get(schema) ?? (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema);
  known.set(schema, json);
  return json;
}

/** The alternatives of a schema, and theirs; itself where it is none. */
export function alternatives(schema: JsonSchema): JsonSchema[] {
  const own = schema.anyOf ?? schema.oneOf;
  if (own) return own.flatMap(alternatives);
  const { type } = schema;
  return Array.isArray(type) ? type.map((one) => ({ ...schema, type: one })) : [schema];
}

/** The first mistake that zod found, in words. */
export function mistakeIn(
  what: string,
  schema: z.ZodType,
  given: unknown,
  { issues }: z.ZodError,
): OptionError {
  const issue = innermost(issues[0]!);
  const path = issue.path.map(String);
  const { path: place, problem } = inPlace(what, schema, given, issue);
  const { name } = (valueAt(given, path.slice(0, -1)) ?? {}) as { name?: unknown };
  return new OptionError(place, problem, what, typeof name === 'string' ? name : undefined);
}

const valueAt = (given: unknown, path: readonly string[]) =>
  path.reduce<unknown>((object, key) => (object as Record<string, unknown> | undefined)?.[key], given);

function inPlace(what: string, schema: z.ZodType, given: unknown, issue: z.core.$ZodIssue): OptionError {
  const path = issue.path.map(String);
  const value = valueAt(given, path);
  const expectedThere = at(jsonSchemaOf(schema), path, given);
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(expectedThere?.properties ?? {});
    const key = issue.keys[0]!;
    const choices = known.length > 0 ? `expected ${known.join(', ')}` : 'there are none';
    return new OptionError(
      [...path, key].join('.'),
      `unknown option${didYouMean(key, known)}; ${choices}`,
      what,
    );
  }
  if (issue.code === 'custom') return new OptionError(path.join('.'), issue.message, what);
  const expected = expectedThere ? inWords(expectedThere) : issue.message;
  const names = expectedThere ? choicesOf(expectedThere) : [];
  const near = typeof value === 'string' ? didYouMean(value, names) : '';
  const description = value === undefined && expectedThere?.description;
  if (description) return new OptionError(path.join('.'), `expected ${description}, got nothing`, what);
  return new OptionError(path.join('.'), `expected ${expected}, got ${shown(value)}${near}`, what);
}

/** Of a part, or code in its place, the mistake in the part: nobody writes the description of code by hand. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  // Of a list, the alternative that is one, which stands last.
  const [inner] = issue.errors.at(Array.isArray(issue.input) ? -1 : 0) ?? [];
  return inner ? innermost({ ...inner, path: [...issue.path, ...inner.path] }) : issue;
}

/** The schema of what stands at a path; of several alternatives that of the part's name, or that which has the key. */
function at(schema: JsonSchema, path: readonly string[], given: unknown): JsonSchema | null {
  const [key, ...rest] = path;
  const all = alternatives(schema);
  const { name } = (typeof given === 'object' && given !== null ? given : {}) as { name?: unknown };
  const chosen =
    all.find((one) => partNames(one).some((known) => known === name)) ??
    all.find(({ properties, items }) => key === undefined || (properties && key in properties) || items) ??
    schema;
  if (key === undefined) return partNames(chosen).some((known) => known === name) ? chosen : schema;
  // A part's own name may be that of any.
  const names = all.flatMap(partNames);
  if (key === 'name' && names.length > 1) return { enum: names };
  const next = chosen.items ?? chosen.properties?.[key];
  if (next === undefined) return null;
  return at(next, rest, (given as Record<string, unknown> | undefined)?.[key]);
}

/** The names that the part of a schema goes by; none where it is no part's. */
export function partNames({ properties }: JsonSchema): string[] {
  const name = properties?.name;
  if (name === undefined) return [];
  return name.const === undefined ? ((name.enum ?? []) as string[]) : [name.const as string];
}

/** So many names can be read. */
const MOST_NAMES = 40;

/** Names in a message: all, or of too many the first, and how many more there are. */
export function firstOf(names: readonly string[]): string {
  if (names.length <= MOST_NAMES) return names.join(', ');
  return `${names.slice(0, MOST_NAMES / 2).join(', ')} and ${names.length - MOST_NAMES / 2} more`;
}

/** The texts that a schema lets one choose of. */
export function choicesOf(schema: JsonSchema): string[] {
  return alternatives(schema).flatMap(({ enum: values, const: value }) =>
    [...(values ?? []), ...(value === undefined ? [] : [value])].filter((one) => typeof one === 'string'),
  );
}

/** 'a number of at least 0', 'one of half, random', … */
function inWords(schema: JsonSchema): string {
  const all = alternatives(schema);
  if (all.length > 1) {
    const parts = all.flatMap(partNames);
    const others = all.filter((one) => partNames(one).length === 0);
    const words = others.map(inWords);
    if (parts.length > 0) words.unshift(`an object with a name of ${firstOf(parts)}`);
    return words.join(' or ');
  }
  const only = all[0]!;
  const choices = choicesOf(only);
  if (choices.length > 1) return `one of ${firstOf(choices)}`;
  if (only.const !== undefined) return JSON.stringify(only.const);
  switch (only.type) {
    case 'number':
    case 'integer': {
      const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = only;
      const bounds = [
        minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER && `at least ${minimum}`,
        maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && `at most ${maximum}`,
        above !== undefined && `more than ${above}`,
        below !== undefined && `less than ${below}`,
      ].filter(Boolean);
      const range = bounds.length > 0 ? ` of ${bounds.join(' and ')}` : '';
      return `${only.type === 'integer' ? 'an integer' : 'a number'}${range}`;
    }
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'text';
    case 'array':
      if (only.prefixItems?.[0])
        return `a list of ${only.prefixItems.length}, each ${inWords(only.prefixItems[0])}`;
      return only.items ? `a list, each ${inWords(only.items)}` : 'a list';
    case 'null':
      return 'null';
    default:
      return 'an object';
  }
}

const shown = (value: unknown) =>
  value === undefined
    ? 'nothing'
    : typeof value === 'number'
      ? String(value)
      : (JSON.stringify(value) ?? String(value));
