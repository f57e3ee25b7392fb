/** Images and their classes, for training or for testing. */
export interface Split {
  /** What the split is called in reports: `train`, `test`, ... */
  name: string;
  /** Absolute paths of the N images. */
  paths: string[];
  /** N labels, 0..classNames.length-1, counted within this split. */
  labels: Int32Array;
  classNames: string[];
}

/** A data set for retrieval: no class of the training split occurs in the test split. */
export interface Dataset {
  name: string;
  train: Split;
  test: Split;
  /** The k's at which the literature reports recall on this data set. */
  recallAt: number[];
}

/** A class and the absolute paths of its images. */
export interface ImageClass {
  name: string;
  paths: string[];
}

/** A split of whole classes, its images class by class in the order given. */
export function splitOfClasses(name: string, classes: readonly ImageClass[]): Split {
  return {
    name,
    paths: classes.flatMap(({ paths }) => paths),
    labels: Int32Array.from(classes.flatMap(({ paths }, label) => paths.map(() => label))),
    classNames: classes.map((imageClass) => imageClass.name),
  };
}
