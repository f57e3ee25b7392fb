import { type DatasetRecord, recordOfSplits } from '@conquer-dml/run';
import type { Dataset, Split } from './dataset.js';

/** The splits of a data set by the names that a record has for them. */
function splitsOf({ train, validation, test, gallery, testSets = [] }: Dataset): Record<string, Split> {
  const others = testSets.filter((set) => set !== test);
  return {
    train,
    ...(validation && { validation }),
    test,
    ...(gallery && { gallery }),
    ...Object.fromEntries(others.map((set) => [`test set ${set.name}`, set])),
  };
}

/** The record of a data set. Files are not opened: an image that was changed under its name is not noticed. */
export function recordOf(dataset: Dataset): DatasetRecord {
  return recordOfSplits(splitsOf(dataset), dataset.folder);
}

/** The classes of a data set that are trained on and tested on, by name: none of them would be unseen. */
export function classesTrainedAndTested(dataset: Dataset): string[] {
  const { train, ...others } = splitsOf(dataset);
  const trained = new Set(train?.classNames);
  const tested = new Set(Object.values(others).flatMap(({ classNames }) => classNames));
  return [...tested].filter((name) => trained.has(name));
}
