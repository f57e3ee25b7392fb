import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { didYouMean, earlierDialect, experimentOf, type Metrics, UserError } from '@conquer-dml/run';
import { decodeText } from '../datasets/text-file.js';
import { builtInParts, type ExperimentInput, experimentSchema } from './experiment.js';
import { mergeExperiments } from './merge.js';

const recipes = fileURLToPath(new URL('../../recipes/', import.meta.url));

/** What was published for an experiment: fractions by metric, and where. */
export interface Published {
  source: string;
  metrics: Metrics;
}

/** An experiment that is not whole: what it leaves out has its default, or is filled in. */
export interface Recipe {
  experiment: ExperimentInput;
  published: Published | null;
}

type Fields = Record<string, unknown>;

/** Reads the fields of a recipe of before there were sections, over what it extends. */
type FlatReader = (fields: Fields, below: ExperimentInput) => ExperimentInput;

/** The recipes that come with the program, by name. */
export function recipeNames(): string[] {
  return readdirSync(recipes)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/**
 * Reads a recipe: an experiment, and beside its sections `about` (for people), `extends` (a recipe that these fields add to
 * or replace; a name, or a file beside this one), `published` ({source, and fractions by metric}) and `$schema` (for
 * editors). config.json of a run is one too.
 *
 * @param name of a recipe that comes with the program, or a path
 * @param flat reads the fields of a recipe of before there were sections; without it a config.json of then is read, and
 *   other such recipes are refused when they are resolved
 * @throws UserError when it cannot be read
 */
export function readRecipe(name: string, flat?: FlatReader): Recipe {
  return read(name, flat, []);
}

function read(name: string, flat: FlatReader | undefined, from: readonly string[]): Recipe {
  const file = recipeFile(name, from.at(-1));
  if (from.includes(file))
    throw new UserError(`the recipe ${name} extends itself: ${[...from, file].join(' → ')}`);
  let contents: Fields;
  try {
    contents = JSON.parse(decodeText(readFileSync(file), file));
  } catch (error) {
    if (error instanceof UserError) throw error;
    const known =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? `; there are ${recipeNames().join(', ')}${didYouMean(name, recipeNames())}`
        : '';
    throw new UserError(`the recipe ${name} cannot be read: ${(error as Error).message}${known}`);
  }
  if (typeof contents !== 'object' || contents === null || Array.isArray(contents))
    throw new UserError(`the recipe ${name} is no object: expected {"section": {"field": value, …}, …}`);
  const { about: _, $schema: __, extends: base, published, ...fields } = contents;
  if (base !== undefined && typeof base !== 'string')
    throw new UserError(
      `the recipe ${name}: "extends" must be the name of a recipe, got ${JSON.stringify(base)}`,
    );
  const below = base === undefined ? {} : read(base, flat, [...from, file]).experiment;
  return {
    experiment: mergeExperiments(below, own(fields, name, below, flat)),
    published: publishedOf(published),
  };
}

function own(fields: Fields, name: string, below: ExperimentInput, flat?: FlatReader): ExperimentInput {
  const dialect = earlierDialect(fields);
  if ('format' in fields || dialect === 'library' || (dialect !== null && !flat))
    return experimentOf(fields, name) as ExperimentInput;
  const sections = Object.keys(experimentSchema(builtInParts).shape);
  const isFlat = (key: string) => !sections.includes(key) || typeof fields[key] === 'string';
  if (flat && Object.keys(fields).some(isFlat) && !Object.entries(fields).some(isSection))
    return flat(fields, below);
  return fields as ExperimentInput;
}

const isSection = ([, value]: [string, unknown]) => typeof value === 'object' && value !== null;

/** @param from the recipe that extends this one */
function recipeFile(name: string, from: string | undefined): string {
  const known = join(recipes, `${name}.json`);
  if (!name.includes('/') && existsSync(known)) return known;
  return from === undefined ? name : join(dirname(from), name);
}

function publishedOf(value: unknown): Published | null {
  if (typeof value !== 'object' || value === null) return null;
  const { source, ...metrics } = value as Fields;
  const numbers = Object.entries(metrics).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number',
  );
  return { source: typeof source === 'string' ? source : '', metrics: Object.fromEntries(numbers) };
}
