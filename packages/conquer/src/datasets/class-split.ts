import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { Random } from '../random.js';
import type { DatasetContext, ImageClass } from './dataset.js';
import { readTextFile } from './text-file.js';

/**
 * How the classes of one's own data are divided into training and test:
 * - `halves`: sorted by name (by code point), the first half trains (the larger one if their number is odd);
 * - `list`: the classes named in a text file train, the others test. UTF-8, a class name a line; blank lines and lines
 *   that begin with `#` are ignored, as are spaces around a name;
 * - `fraction`: that share of the classes, shuffled by the seed and rounded, trains;
 * - `all`: every class trains, and the test set is empty.
 */
export type ClassSplit =
  | { kind: 'halves' }
  | { kind: 'list'; file: string }
  | { kind: 'fraction'; fraction: number; seed: number }
  | { kind: 'all' };

/** How an experiment says it. */
export const classSplitOptions = {
  split: z
    .string()
    .min(1)
    .default('half')
    .describe(
      'the training classes, where the data do not say them: half (the first half by name), random, or a file that lists them',
    ),
  trainFraction: z
    .number()
    .min(0.01)
    .max(0.99)
    .default(0.5)
    .describe('of a random split: share of classes to train on'),
};

/** What these options mean. */
export function classSplitOf(
  { split, trainFraction }: { split: string; trainFraction: number },
  { seed, everyClass }: DatasetContext,
): ClassSplit {
  if (everyClass) return { kind: 'all' };
  if (split === 'half') return { kind: 'halves' };
  return split === 'random'
    ? { kind: 'fraction', fraction: trainFraction, seed }
    : { kind: 'list', file: split };
}

/**
 * @param classes in the order of their names
 * @param source what holds them, as messages name it
 * @throws UserError if the list cannot be read or names no class, or the fraction is not in (0, 1)
 */
export async function splitClasses(
  classes: readonly ImageClass[],
  source: string,
  split: ClassSplit,
): Promise<{ train: ImageClass[]; test: ImageClass[] }> {
  const byTraining = (trains: (name: string, index: number) => boolean) => ({
    train: classes.filter(({ name }, index) => trains(name, index)),
    test: classes.filter(({ name }, index) => !trains(name, index)),
  });
  switch (split.kind) {
    case 'all':
      return byTraining(() => true);
    case 'halves': {
      const half = Math.ceil(classes.length / 2);
      return byTraining((_, index) => index < half);
    }
    case 'list': {
      const listed = await readList(split.file, new Set(classes.map(({ name }) => name)), source);
      return byTraining((name) => listed.has(name));
    }
    case 'fraction': {
      if (!(split.fraction > 0 && split.fraction < 1)) {
        throw new UserError(
          `expected a fraction of the classes between 0 and 1 for training, got ${split.fraction}`,
        );
      }
      const order = new Random(split.seed).permutation(classes.length);
      const chosen = new Set(order.subarray(0, Math.round(split.fraction * classes.length)));
      return byTraining((_, index) => chosen.has(index));
    }
  }
}

async function readList(file: string, known: ReadonlySet<string>, source: string): Promise<Set<string>> {
  const text = await readTextFile(
    file,
    'half, random, or a text file with the name of a training class on each line',
  );
  const listed = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    const name = line.trim();
    if (name === '' || name.startsWith('#')) continue;
    if (!known.has(name)) {
      throw new UserError(
        `${file}, line ${index + 1}: expected the name of a class in ${source}, got ${JSON.stringify(name)}`,
      );
    }
    listed.add(name);
  }
  return listed;
}
