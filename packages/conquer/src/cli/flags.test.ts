import { describe, expect, it } from 'vitest';
import { builtInParts, experimentSchema } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { alternatives, type JsonSchema, jsonSchemaOf, partNames } from '../option-error.js';
import { flagsOf, meant, shownValue } from './flags.js';

// No option in one place only: whatever the schema has is told of in a line and has one flag, and a flag is nothing else.

interface Leaf {
  /** As in a message: `loss.margin`; of a part's option with the part's name: `loss/margin.margin`. */
  path: string;
  schema: JsonSchema;
  /** Whether the object around it cannot be given without it. */
  required: boolean;
}

const nameOf = (schema: JsonSchema) => partNames(schema)[0];
const isOwn = ({ properties }: JsonSchema) => properties?.own !== undefined;

type ObjectSchema = JsonSchema & { required?: string[] };

/** Every field and option, down to where values stand. */
function leavesOf(schema: JsonSchema, path = '', required = false): Leaf[] {
  const all = alternatives(schema).filter((one) => !isOwn(one));
  const parts = [...all, ...alternatives(schema.items ?? {})].filter((one) => nameOf(one) !== undefined);
  if (parts.length > 0)
    return [
      // Of a list there is no choice to make: each is in it or not.
      ...(schema.items ? [] : [{ path: `${path}.name`, schema, required }]),
      ...parts.flatMap((part) => fieldsOf(part, `${path}/${nameOf(part)}.`)),
    ];
  const object = all.find(({ properties }) => properties);
  return object ? fieldsOf(object, path === '' ? '' : `${path}.`) : [{ path, schema, required }];
}

function fieldsOf({ properties = {}, required = [] }: ObjectSchema, before: string): Leaf[] {
  return (
    Object.entries(properties)
      // The name of a part is the choice of it.
      .filter(([name]) => name !== 'name' || !before.includes('/'))
      .flatMap(([name, field]) => leavesOf(field, `${before}${name}`, required.includes(name)))
  );
}

const flags = flagsOf(builtInParts);
const leaves = leavesOf(jsonSchemaOf(experimentSchema(builtInParts)));
const targets = flags.flatMap((flag) =>
  flag.targets.map(({ path, part, option }) => ({
    flag: flag.name,
    // A tracker without options is switched on as such.
    path: part === null ? (option === null ? path : `${path}.${option}`) : `${path}/${part}.${option}`,
    isSwitch: path === 'track' && option === null,
  })),
);

describe('every field of an experiment, and every option of a part', () => {
  it('is one of many', () => expect(leaves.length).toBeGreaterThan(120));

  it.each(leaves)('$path is described in a line', ({ schema }) => {
    expect(schema.description).toMatch(/^\S.{2,230}$/);
  });

  it.each(leaves)('$path has a default, or has to be given', ({ path, schema, required }) => {
    // null is one.
    expect('default' in schema, path).toBe(!required);
  });

  it.each(leaves)('$path has exactly one flag', ({ path }) => {
    expect(targets.filter((target) => target.path === path)).toHaveLength(1);
  });
});

describe('every flag', () => {
  it('has a name of its own', () => {
    expect(new Set(flags.map(({ name }) => name)).size).toBe(flags.length);
    for (const { name } of flags) expect(name).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
  });

  it.each(targets.filter(({ isSwitch }) => !isSwitch))(
    '--$flag leads to a field that there is: $path',
    ({ path }) => {
      expect(leaves.map((leaf) => leaf.path)).toContain(path);
    },
  );

  it.each(flags)('--$name understands its own default, and its choices', (flag) => {
    const [{ schema }] = flag.targets as [(typeof flag.targets)[number]];
    if (flag.default !== null) {
      const value = meant(flag, schema, flag.default);
      expect(shownValue(value, flag.words)).toBe(flag.default);
      expect(value).toEqual(schema.default);
    }
    for (const choice of flag.choices)
      expect(shownValue(meant(flag, schema, choice), flag.words)).toBe(choice);
  });
});

it('what is left out is what --help shows', () => {
  const experiment = resolveExperiment({}) as unknown as Record<string, Record<string, unknown>>;
  for (const { path, schema } of leaves) {
    const [section = '', field = '', ...deeper] = path.split('.');
    if (path.includes('/') || deeper.length > 0 || field === '' || field === 'name') continue;
    // These follow from others where they are left open.
    if (['model.batchNorm', 'data.resize', 'optimize.learningRate'].includes(path)) continue;
    expect(experiment[section]?.[field], path).toEqual(schema.default);
  }
});
