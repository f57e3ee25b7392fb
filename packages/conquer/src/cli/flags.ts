import { experimentSchema, type Parts } from '../experiment/experiment.js';
import { alternatives, choicesOf, type JsonSchema, jsonSchemaOf, partNames } from '../option-error.js';
import { flagGroup, flagName, trackerFlag, words } from './flag-table.js';

/** Where a flag's value goes: a field of the experiment, or an option of a part, where that part is the one chosen. */
export interface Target {
  /** Of the field; for options of a part, of the part. */
  path: string;
  /** The part that has the option, by the first of its names; null for a field. */
  part: string | null;
  /** All names that the part goes by; none for a field. */
  names: readonly string[];
  /** The option within the part, `name` for the choice of one; null for a field. */
  option: string | null;
  schema: JsonSchema;
}

/** A flag of `conquer train`: made of the experiment's schema, so that whatever is added there has one. */
export interface Flag {
  name: string;
  group: string;
  help: string;
  kind: 'integer' | 'number' | 'choice' | 'truth' | 'list' | 'text';
  choices: readonly string[];
  /** As a flag has it; null: nothing. */
  default: string | null;
  /** What else it may be called, by the value it stands for. */
  words: Readonly<Record<string, unknown>>;
  targets: readonly Target[];
}

/** The name of the part, the first of several, whose schema it is. */
const partNameOf = (schema: JsonSchema): string | undefined => partNames(schema)[0];

/** The options of a part; of one that is made of several, each of these by its path. */
function optionsIn({ properties = {} }: JsonSchema): [option: string, schema: JsonSchema][] {
  return Object.entries(properties).flatMap(([name, field]) =>
    field.properties
      ? optionsIn(field).map(([inner, schema]): [string, JsonSchema] => [`${name}.${inner}`, schema])
      : [[name, field]],
  );
}

/** All flags of an experiment of these parts, in the order of its sections. */
export function flagsOf(parts: Parts): Flag[] {
  const targets = new Map<string, Target[]>();
  const add = (name: string, target: Target) => {
    targets.set(name, [...(targets.get(name) ?? []), target]);
  };
  const walk = (schema: JsonSchema, path: string): void => {
    const all = alternatives(schema);
    const named = all.filter((one) => partNameOf(one) !== undefined);
    const fields = all.find(({ properties }) => properties && !properties.own)?.properties;
    const trackers =
      schema.items && alternatives(schema.items).filter((one) => partNameOf(one) !== undefined);
    if (trackers && trackers.length > 0) {
      for (const tracker of trackers) {
        const part = partNameOf(tracker)!;
        const [option] = Object.keys(tracker.properties!).filter((name) => name !== 'name');
        const value =
          option === undefined ? { type: 'boolean', default: false } : tracker.properties![option]!;
        const help = value.description ?? tracker.description ?? '';
        const target = {
          path,
          part,
          names: [part],
          option: option ?? null,
          schema: { ...value, description: help },
        };
        add(trackerFlag(part, option), target);
      }
    } else if (named.length > 0) {
      const byDefault = (schema.default as { name?: string } | null | undefined)?.name;
      const choice: JsonSchema = {
        type: 'string',
        enum: named.flatMap(partNames),
        ...(schema.description !== undefined && { description: schema.description }),
        ...(byDefault !== undefined && { default: byDefault }),
      };
      add(flagName(path), { path, part: null, names: [], option: 'name', schema: choice });
      for (const one of named) {
        const part = partNameOf(one)!;
        for (const [option, schema] of optionsIn(one))
          if (option !== 'name')
            add(flagName(path, part, option), { path, part, names: partNames(one), option, schema });
      }
    } else if (fields) {
      for (const [name, field] of Object.entries(fields)) walk(field, path === '' ? name : `${path}.${name}`);
    } else {
      add(flagName(path), { path, part: null, names: [], option: null, schema });
    }
  };
  walk(jsonSchemaOf(experimentSchema(parts)), '');
  return [...targets].map(([name, targets]) => flagOf(name, targets));
}

function flagOf(name: string, targets: readonly Target[]): Flag {
  const { schema, path } = targets[0]!;
  const partNames = [...new Set(targets.flatMap(({ part }) => part ?? []))];
  const help = schema.description ?? '';
  const truths = words[name];
  const byWords = truths && typeof Object.values(truths)[0] === 'boolean';
  const choices = byWords ? Object.keys(truths) : choicesOf(schema);
  // Parts may differ in what they do by themselves.
  const standards = new Set(
    targets.map((target) => (target.path === path ? target.schema.default : undefined)),
  );
  standards.delete(undefined);
  const [standard = null] = standards.size === 1 ? standards : [];
  return {
    name,
    group: flagGroup(path),
    help: partNames.length > 0 && path !== 'track' ? `${partNames.join(', ')}: ${help}` : help,
    kind: choices.length > 0 ? 'choice' : kindOf(schema),
    choices,
    default: shownValue(standard, truths),
    words: truths ?? {},
    targets,
  };
}

function kindOf(schema: JsonSchema): Flag['kind'] {
  const types = alternatives(schema).map(({ type }) => type);
  if (types.includes('boolean')) return 'truth';
  if (types.includes('integer')) return 'integer';
  if (types.includes('number')) return 'number';
  return types.includes('array') ? 'list' : 'text';
}

/** A value as a flag has it. */
export function shownValue(value: unknown, truths: Readonly<Record<string, unknown>> = {}): string | null {
  if (value === null || value === undefined) return null;
  const word = typeof value === 'boolean' && Object.entries(truths).find(([, meant]) => meant === value);
  if (word) return word[0];
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** What a flag's text stands for; a text that cannot be read stays as it is, for the message. */
export function meant({ kind, words }: Flag, schema: JsonSchema, text: string): unknown {
  const word = words[text] ?? words[text.toLowerCase()];
  if (word !== undefined) return word;
  if (text === 'none' && alternatives(schema).some(({ type }) => type === 'null')) return null;
  const isList = text.includes(',') && alternatives(schema).some(({ type }) => type === 'array');
  switch (isList ? 'list' : kind) {
    case 'truth':
      return text === 'yes' ? true : text === 'no' ? false : text;
    case 'integer':
    case 'number':
      return text.trim() !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
    case 'list':
      if (text.trim() === '') return [];
      return text
        .split(',')
        .map((item) => (item.trim() !== '' && !Number.isNaN(Number(item)) ? Number(item) : item));
    default:
      return text;
  }
}
