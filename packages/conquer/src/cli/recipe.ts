import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { didYouMean, type Metrics, UserError } from '@conquer/run';
import { decodeText } from '../datasets/text-file.js';

const recipes = fileURLToPath(new URL('../../../../recipes/', import.meta.url));

/** What was published for an experiment: fractions by metric, and where. */
export interface Published {
  source: string;
  metrics: Metrics;
}

/** A file in recipes/ or anywhere: settings by the long names of the options. config.json of a run is one too. */
export interface Recipe {
  settings: Record<string, unknown>;
  published: Published | null;
}

/** The recipes that come with the program, by name. */
export function recipeNames(): string[] {
  return readdirSync(recipes)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/**
 * Reads a recipe: settings, and beside them `about` (for people), `extends` (a recipe whose settings these add to or
 * replace; a name, or a file beside this one) and `published` ({source, and fractions by metric}).
 *
 * @param name of a recipe in recipes/, or a path
 * @throws UserError when it cannot be read
 */
export function readRecipe(name: string, from: readonly string[] = []): Recipe {
  const file = recipeFile(name, from.at(-1));
  if (from.includes(file))
    throw new UserError(`the recipe ${name} extends itself: ${[...from, file].join(' → ')}`);
  let contents: Record<string, unknown>;
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
    throw new UserError(`the recipe ${name} is no object: expected {"option": value, …}`);
  if (isLibraryRun(contents)) {
    throw new UserError(
      `the recipe ${name} is the config.json of a run of trainEmbedding(), whose settings the command line does not have: write down those that are wanted as options`,
    );
  }
  const { about: _, extends: base, published, ...settings } = contents;
  if (base !== undefined && typeof base !== 'string')
    throw new UserError(
      `the recipe ${name}: "extends" must be the name of a recipe, got ${JSON.stringify(base)}`,
    );
  const below = base === undefined ? {} : readRecipe(base, [...from, file]).settings;
  return { settings: { ...below, ...settings }, published: publishedOf(published) };
}

/** What trainEmbedding() records of every run, and the command line of none. */
function isLibraryRun(contents: Record<string, unknown>): boolean {
  return 'small-resnet' in contents && 'image-folder' in contents;
}

/** @param from the recipe that extends this one */
function recipeFile(name: string, from: string | undefined): string {
  const known = join(recipes, `${name}.json`);
  if (!name.includes('/') && existsSync(known)) return known;
  return from === undefined ? name : join(dirname(from), name);
}

function publishedOf(value: unknown): Published | null {
  if (typeof value !== 'object' || value === null) return null;
  const { source, ...metrics } = value as Record<string, unknown>;
  const numbers = Object.entries(metrics).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number',
  );
  return { source: typeof source === 'string' ? source : '', metrics: Object.fromEntries(numbers) };
}
