import { OptionError } from '../option-error.js';
import { categoriesOf, type Dataset, refuseWithoutClasses, type Split } from './dataset.js';

/** The images of a split's first classes: as many classes as `ratio` of all, rounded, at least two. */
export function firstClasses(split: Split, ratio: number): Split {
  const count = Math.round(split.classNames.length * ratio);
  if (count < 2) {
    throw new OptionError(
      'data.classRatio',
      `${ratio} leaves ${count} of ${split.classNames.length} ${split.name} classes: at least 2 are needed`,
    );
  }
  const kept = Array.from(split.labels.keys()).filter((i) => (split.labels[i] as number) < count);
  return {
    name: split.name,
    paths: kept.map((i) => split.paths[i] as string),
    labels: Int32Array.from(kept, (i) => split.labels[i] as number),
    classNames: split.classNames.slice(0, count),
    ...categoriesOf(split.categories?.slice(0, count) ?? []),
  };
}

/** A data set with a share of its classes, for quick trials; a gallery keeps the classes that its queries keep. */
export function withClassRatio(dataset: Dataset, ratio: number): Dataset {
  if (ratio === 1) return dataset;
  const { train, test, gallery, testSets } = dataset;
  refuseWithoutClasses('data.classRatio', [train, test, gallery]);
  return {
    ...dataset,
    train: firstClasses(train, ratio),
    test: test.classNames.length === 0 ? test : firstClasses(test, ratio),
    ...(gallery && { gallery: firstClasses(gallery, ratio) }),
    ...(testSets && { testSets: testSets.map((split) => firstClasses(split, ratio)) }),
  };
}
