import { EXPERIMENT_FORMAT } from '@conquer-dml/run';
import { jsonSchemaOf } from '../option-error.js';
import { builtInParts, experimentSchema, type Parts } from './experiment.js';

type Schema = Record<string, unknown>;

/**
 * JSON Schema of a recipe or config.json, by which editors complete and check it: an experiment of which anything may be left
 * out, and what stands beside its sections. The build writes it to `experiment.schema.json` in the package.
 */
export function recipeSchema(parts: Parts = builtInParts): Schema {
  const experiment = partial(jsonSchemaOf(experimentSchema(parts))) as { properties: Schema };
  const text = (description: string) => ({ type: 'string', description });
  return {
    ...experiment,
    title: 'an experiment of conquer',
    properties: {
      $schema: text('where this schema is, for editors'),
      format: { const: EXPERIMENT_FORMAT, description: 'of a config.json: the version of its fields' },
      about: text('what it is, for people'),
      extends: text('a recipe that these fields add to or replace: a name, or a file beside this one'),
      published: {
        type: 'object',
        description: 'what was published for it: fractions by metric, and where',
        properties: { source: text('where') },
        additionalProperties: { type: 'number', minimum: 0, maximum: 1 },
      },
      ...experiment.properties,
    },
  };
}

/** A schema in which nothing has to be given. */
function partial(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(partial);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { required: _, oneOf, maximum, default: standard, ...rest } = schema as Schema;
  const kept: Schema = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, partial(value)]));
  // Without its name, a part can be told from no other.
  if (oneOf) kept.anyOf = partial(oneOf);
  if (maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER) kept.maximum = maximum;
  if (standard !== undefined && !isEmpty(standard)) kept.default = standard;
  return kept;
}

/** A section's default says nothing: its fields have theirs. */
const isEmpty = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
