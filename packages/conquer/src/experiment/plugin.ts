import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '@conquer-dml/run';
import type { Parts } from './experiment.js';

const kinds = [
  'datasets',
  'augmentations',
  'samplers',
  'backbones',
  'heads',
  'tunings',
  'losses',
  'miners',
  'optimizers',
  'schedules',
  'trackers',
] as const satisfies readonly (keyof Parts)[];

/**
 * Adds the parts of files to those there are. A file exports lists by their kinds, `export const losses = [mine]`, of what
 * `part()` made; an experiment names them as any other, and a run that has one goes on, and is evaluated, with the same file.
 *
 * @throws UserError for a file that cannot be imported, has no list of parts, or a part whose name is taken
 */
export async function withPlugins(parts: Parts, files: readonly string[]): Promise<Parts> {
  let all = parts;
  for (const file of files) all = withPlugin(all, file, await imported(file));
  return all;
}

async function imported(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UserError(`the plugin ${file} cannot be imported: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function withPlugin(parts: Parts, file: string, exports: Record<string, unknown>): Parts {
  const given = kinds.filter((kind) => exports[kind] !== undefined);
  if (given.length === 0) {
    throw new UserError(
      `the plugin ${file} has no parts: expected it to export a list such as losses = [part({ name, help, options, build })], one of ${kinds.join(', ')}`,
    );
  }
  const added = given.map((kind) => {
    const list = exports[kind];
    if (!Array.isArray(list) || !list.every(isPart))
      throw new UserError(`the plugin ${file}: expected ${kind} to be a list of what part() made`);
    for (const [i, { name }] of list.entries())
      if ([...parts[kind], ...list.slice(0, i)].some((known: { name: string }) => known.name === name))
        throw new UserError(`the plugin ${file}: there is a part named ${name} among the ${kind} already`);
    return [kind, [...parts[kind], ...list]];
  });
  return { ...parts, ...Object.fromEntries(added) };
}

function isPart(value: unknown): value is { name: string } {
  const { name, options, build } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof name === 'string' && typeof build === 'function' && options instanceof Object && 'shape' in options
  );
}
