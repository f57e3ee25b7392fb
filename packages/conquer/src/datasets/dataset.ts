import { UserError } from '@conquer-dml/run';
import type { ImagePairs } from '../image-pairs.js';
import type { AnyPart } from '../part.js';

/** Images and their classes, for training or for testing. */
export interface Split {
  /** What the split is called in reports: `train`, `test`, ... */
  name: string;
  /** Absolute paths of the N images; of a box in one with `#xywh=left,top,width,height` at its end. */
  paths: string[];
  /** N labels, 0..classNames.length-1, counted within this split. */
  labels: Int32Array;
  /** What each label stands for. */
  classNames: string[];
  /** All labels of each image, where one may have several; the first is in `labels`. Images that share one are of one class. */
  labelSets?: readonly Int32Array[] | undefined;
  /** Pairs of its images that are the same or different, in the place of classes: labels then are of groups that hang together. */
  pairs?: ImagePairs | undefined;
  /** The category (SOP's super-class) of each class, by label; where the data set says it, of every class. */
  categories?: string[];
  /**
   * (N,) which camera took each image, where that counts: a query then leaves out what its own camera saw of its class, and
   * one that can find nothing else is left out of the means.
   */
  cameras?: Int32Array;
}

/** A data set for retrieval: no class of the training split occurs in the test split. */
export interface Dataset {
  /** As reports call it: a name of `datasetNames`, or that of one's own folder or file. */
  name: string;
  /** The folder it lies in, an absolute path; by default the deepest that holds all its images. */
  folder?: string;
  /** Its labels are counted apart from those of the other splits. */
  train: Split;
  /** Where classes of the training data were set aside: the best epoch is chosen on these, not on `test`. */
  validation?: Split;
  /** Training reports on these; with a gallery, these are the queries. */
  test: Split;
  /** Where the queries are looked for; without it, among themselves. Its labels and classNames are those of `test`. */
  gallery?: Split;
  /** Where the literature reports on several test sets (VehicleID): all of them by name; `test` is one of them. */
  testSets?: Split[];
  /** The k's at which the literature reports recall on this data set. Ascending. */
  recallAt: readonly number[];
}

/** What is known when an experiment's data set is opened. */
export interface DatasetContext {
  /** Of what is drawn: which classes train, where they are divided at random. */
  seed: number;
  /** Every class trains, and the test set is empty. */
  everyClass: boolean;
  /** Images that are left out afterwards, absolute or relative to the data set's folder: nothing is said of copies of them. */
  excluded?: readonly string[] | undefined;
  /** Called while something is prepared that will be there the next time. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Told of what is left out or deviates, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** A data set as an experiment names it. */
export interface DatasetPart extends AnyPart<DatasetContext, Promise<Dataset>> {
  /** Whether its splits have pairs in the place of classes. */
  readonly ofPairs?: boolean;
}

/** A class and the absolute paths of its images. */
export interface ImageClass {
  name: string;
  paths: string[];
  /** SOP's super-class; not there where the data set does not say it. */
  category?: string | undefined;
}

/** A split of whole classes, its images class by class in the order given. */
export function splitOfClasses(name: string, classes: readonly ImageClass[]): Split {
  const paths = classes.flatMap((one) => one.paths);
  const labels = new Int32Array(paths.length);
  let at = 0;
  for (const [label, one] of classes.entries()) {
    labels.fill(label, at, at + one.paths.length);
    at += one.paths.length;
  }
  return {
    name,
    paths,
    labels,
    classNames: classes.map((imageClass) => imageClass.name),
    ...categoriesOf(classes.map(({ category }) => category)),
  };
}

/** The categories of a split's classes by label, where all have one. */
export function categoriesOf(categories: readonly (string | undefined)[]): Pick<Split, 'categories'> {
  const known = categories.filter((category) => category !== undefined);
  return known.length === categories.length && known.length > 0 ? { categories: known } : {};
}

/** The split as one of several labels, of which each image may have just one. */
export function withLabelSets(split: Split): Split {
  return {
    ...split,
    labelSets: split.labelSets ?? Array.from(split.labels, (label) => Int32Array.of(label)),
  };
}

/** @throws UserError for images of several labels or of none but pairs, which cannot be told apart by class; `what` wants to */
export function refuseWithoutClasses(what: string, splits: readonly (Split | undefined)[]): void {
  if (splits.some((split) => split?.pairs))
    throw new UserError(
      `${what} takes images class by class, and this data set has pairs in the place of classes: leave it out`,
    );
  if (splits.some((split) => split?.labelSets))
    throw new UserError(
      `${what} takes images class by class, and images of this data set have several labels: leave it out`,
    );
}

/** Class ids of images, made labels: numbered from 0 in the order of `classes`. */
export function labelsOf<Id>(ids: readonly Id[], classes: readonly Id[]): Int32Array {
  const labels = new Map(classes.map((id, label) => [id, label]));
  return Int32Array.from(ids, (id) => {
    const label = labels.get(id);
    if (label === undefined) throw new RangeError(`labelsOf: ${id} is not among the classes`);
    return label;
  });
}
