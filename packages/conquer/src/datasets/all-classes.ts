import { type Dataset, type ImageClass, refuseWithoutClasses, splitOfClasses } from './dataset.js';

/**
 * The data set with every class for training and an empty test set: for the model that goes live, of which nothing can
 * be measured any more. Classes of one name are one, whatever split they are in; a file counts once.
 */
export function withAllClasses(dataset: Dataset): Dataset {
  // They were divided, or not, where they were read.
  if (dataset.train.pairs && dataset.test.paths.length === 0) return dataset;
  const { name, train, validation, test, gallery, testSets = [], recallAt } = dataset;
  const others = [validation, test, gallery, ...testSets];
  if (others.every((split) => !split || split.paths.length === 0) && areUnique(train.classNames))
    return { name, train, test: splitOfClasses(test.name, []), recallAt };
  refuseWithoutClasses("data.trainOn 'all'", [train, validation, test, gallery]);
  const classes = new Map<string, Set<string>>();
  const categories = new Map<string, string>();
  for (const split of [train, validation, test, gallery, ...testSets]) {
    for (const [label, className] of split?.classNames.entries() ?? []) {
      if (!classes.has(className)) classes.set(className, new Set());
      const category = split?.categories?.[label];
      if (category !== undefined) categories.set(className, category);
    }
    for (const [i, path] of split?.paths.entries() ?? [])
      classes.get(split?.classNames[split.labels[i] as number] as string)?.add(path);
  }
  const all: ImageClass[] = [...classes].map(([className, paths]) => ({
    name: className,
    paths: [...paths],
    category: categories.get(className),
  }));
  return { name, train: splitOfClasses(train.name, all), test: splitOfClasses(test.name, []), recallAt };
}

const areUnique = (names: readonly string[]) => new Set(names).size === names.length;
