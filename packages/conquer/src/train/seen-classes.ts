import { dirname, resolve } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import type { Dataset } from '../datasets/dataset.js';

/**
 * Weights of another run have seen that run's training classes. Those among the classes to test on, by name, are not
 * unseen, though nothing of this run trains on them.
 *
 * @param weights a file; one that is not in a run's folder, or in that of an older version, tells nothing
 * @returns a warning, or null
 */
export function seenClassesWarning(weights: string, { test, validation, gallery }: Dataset): string | null {
  const path = dirname(dirname(resolve(weights)));
  const record = RunFolder.exists(path) ? RunFolder.open(path).dataset() : null;
  const trained = new Set(record?.splits.train?.classNames);
  const tested = new Set([test, validation, gallery].flatMap((split) => split?.classNames ?? []));
  const seen = [...tested].filter((name) => trained.has(name));
  if (seen.length === 0) return null;
  const what = test.pairs ? 'groups' : 'classes';
  const more = seen.length > 3 ? ', …' : '';
  return `${seen.length} of the ${tested.size} ${what} to test on are called as ${what} that ${path} was trained on, whose weights this run starts with (${seen.slice(0, 3).join(', ')}${more}): where they are the same they are not unseen, and the metrics are too good`;
}
