import type { Json } from '../json.js';
import { isFields } from '../records/fields.js';

/** Of today's config.json; older ones had none, and other keys. */
export const EXPERIMENT_FORMAT = 3;

/** An experiment as a run keeps it: sections of fields, whatever they are. conquer checks what it needs of them. */
export type StoredExperiment = { [section: string]: Json };

/** As config.json has it. */
export function toStore(experiment: object): StoredExperiment {
  return { format: EXPERIMENT_FORMAT, ...experiment };
}

/** What stands at a path such as `train.epochs`; undefined where nothing does. */
export function valueAt(experiment: object, path: string): Json | undefined {
  let value: unknown = experiment;
  for (const key of path.split('.')) value = isFields(value) ? value[key] : undefined;
  return value as Json | undefined;
}

/** The values of an experiment by their paths, for people: lists of plain values are joined by commas. */
export function listValues(experiment: object): Record<string, string | number | boolean | null> {
  const listed: [string, string | number | boolean | null][] = [];
  const list = (value: unknown, path: string): void => {
    if (Array.isArray(value) && value.every((item) => !isFields(item))) listed.push([path, value.join(',')]);
    else if (typeof value === 'object' && value !== null)
      for (const [name, field] of Object.entries(value)) list(field, path === '' ? name : `${path}.${name}`);
    else if (value !== undefined) listed.push([path, value as string | number | boolean | null]);
  };
  list(experiment, '');
  // fromEntries makes own properties, also of '__proto__'.
  return Object.fromEntries(listed);
}
