import { counted } from '@conquer-dml/run';
import { countKinds } from '../image-pairs.js';
import { OptionError } from '../option-error.js';
import { Random } from '../random.js';
import { type Dataset, refuseWithoutClasses, type Split, splitOfClasses } from './dataset.js';
import { withoutPaths } from './excluded.js';

/** A split of some of another's classes, numbered anew in the order given. */
function classesOf(split: Split, name: string, labels: readonly number[]): Split {
  const paths = split.classNames.map((): string[] => []);
  for (const [i, path] of split.paths.entries()) paths[split.labels[i] as number]?.push(path);
  return splitOfClasses(
    name,
    labels.map((label) => ({
      name: split.classNames[label] as string,
      paths: paths[label] as string[],
      category: split.categories?.[label],
    })),
  );
}

/**
 * Sets a share of the training classes aside, on which the best epoch is chosen: unseen classes, as the test
 * classes are, but not these. The same classes for every run of the data set. Of pairs it is groups of images that are the same,
 * so that no image trains and validates; pairs across are left out.
 *
 * @param fraction of the training classes, in (0, 1); rounded, at least two on either side
 * @throws OptionError when too few classes are left, or no pairs of one kind
 */
export function withValidation(
  dataset: Dataset,
  fraction: number,
  onWarning?: (message: string) => void,
): Dataset {
  if (fraction === 0) return dataset;
  const { train } = dataset;
  const what = train.pairs ? 'groups' : 'classes';
  if (dataset.validation) {
    throw new OptionError(
      'data.validationFraction',
      `got ${fraction}, but the data set has ${what} to choose the best epoch on already, ${dataset.validation.classNames.length} of them; leave it out`,
    );
  }
  if (!train.pairs) refuseWithoutClasses('data.validationFraction', [train]);
  const classes = train.classNames.length;
  const count = Math.round(classes * fraction);
  if (count < 2 || classes - count < 2) {
    throw new OptionError(
      'data.validationFraction',
      `${fraction} would validate on ${count} of ${classes} training ${what} and train on ${classes - count}: both need at least 2`,
    );
  }
  const aside = new Set(new Random(0).permutation(classes).subarray(0, count));
  if (train.pairs) return { ...dataset, ...pairsAside(train, aside, fraction, onWarning) };
  const all = Array.from(train.classNames.keys());
  return {
    ...dataset,
    train: classesOf(
      train,
      train.name,
      all.filter((label) => !aside.has(label)),
    ),
    validation: classesOf(
      train,
      'validation',
      all.filter((label) => aside.has(label)),
    ),
  };
}

function pairsAside(
  train: Split,
  aside: ReadonlySet<number>,
  fraction: number,
  onWarning: ((message: string) => void) | undefined,
): Pick<Dataset, 'train' | 'validation'> {
  const groups = (isAside: boolean) =>
    new Set(train.paths.filter((_, image) => aside.has(train.labels[image]!) === isAside));
  const found = {
    train: withoutPaths(train, groups(true)),
    validation: { ...withoutPaths(train, groups(false)), name: 'validation' },
  };
  const kinds = Object.values(found).map(({ pairs }) => countKinds(pairs!));
  const [trained, validated] = kinds.map(({ same, different }) => `${same} same and ${different} different`);
  if (kinds.some(({ same, different }) => same === 0 || different === 0))
    throw new OptionError(
      'data.validationFraction',
      `${fraction} would train on ${trained} pairs and validate on ${validated}: both need both kinds`,
    );
  const all = train.pairs!.same.length;
  const across = kinds.reduce((left, { same, different }) => left - same - different, all);
  if (across > 0)
    onWarning?.(
      `${across} of ${counted(all, 'training pair')} are of an image that trains and one that validates, and are left out`,
    );
  return found;
}
