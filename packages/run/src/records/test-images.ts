import { isFields } from './fields.js';

/** Absolute paths, a label each, and what the labels mean. */
export interface ImageList {
  paths: string[];
  labels: number[];
  classNames: string[];
  /** All labels of each, where images may have several; `labels` are the first of each. */
  labelSets?: number[][];
}

/** test-images.json: all images that are tested on; those of embeddings.safetensors are among them. */
export interface TestImages {
  queries: ImageList;
  gallery: ImageList | null;
}

/** A list of images as a data set holds it too: its labels may be of a typed array. */
export interface LabelledImages {
  readonly paths: readonly string[];
  readonly labels: ArrayLike<number>;
  readonly classNames: readonly string[];
  readonly labelSets?: readonly ArrayLike<number>[] | undefined;
  /** Pairs of them by place, in the place of classes; 1 where they are the same. */
  readonly pairs?:
    | { first: ArrayLike<number>; second: ArrayLike<number>; same: ArrayLike<number> }
    | undefined;
}

/** What of a data set is tested on. */
export function testImagesOf(dataset: { test: LabelledImages; gallery?: LabelledImages }): TestImages {
  const list = ({ paths, labels, classNames, labelSets }: LabelledImages): ImageList => ({
    paths: [...paths],
    labels: Array.from(labels),
    classNames: [...classNames],
    ...(labelSets && { labelSets: labelSets.map((set) => Array.from(set)) }),
  });
  return { queries: list(dataset.test), gallery: dataset.gallery ? list(dataset.gallery) : null };
}

/** What test-images.json holds; null for what is none. @param value as JSON.parse gives it */
export function readTestImages(value: unknown): TestImages | null {
  if (!isFields(value)) return null;
  const { queries, gallery = null } = value;
  if (!isImageList(queries) || !(gallery === null || isImageList(gallery))) return null;
  return { queries, gallery };
}

/** @param value as JSON.parse gives it */
export function isImageList(value: unknown): value is ImageList {
  if (!isFields(value)) return false;
  const { paths, labels, classNames, labelSets } = value;
  return (
    Array.isArray(paths) &&
    Array.isArray(labels) &&
    Array.isArray(classNames) &&
    paths.length === labels.length &&
    paths.every((path) => typeof path === 'string') &&
    labels.every(Number.isSafeInteger) &&
    classNames.every((name) => typeof name === 'string') &&
    (labelSets === undefined ||
      (Array.isArray(labelSets) &&
        labelSets.length === paths.length &&
        labelSets.every((set) => Array.isArray(set) && set.every(Number.isSafeInteger))))
  );
}
