/** What an audit looks for. */
export const findingKinds = [
  { kind: 'exact-duplicate', help: 'the bytes of another file' },
  { kind: 'near-duplicate', help: 'all but another image' },
  { kind: 'two-labels', help: 'one image, or all but one, in two classes' },
  { kind: 'leak', help: 'one image, or all but one, in two parts of the data' },
  { kind: 'wrong-label', help: 'all other images speak for another class' },
  { kind: 'outlier', help: 'like no other image' },
  { kind: 'one-class', help: 'two classes that cannot be told apart' },
  { kind: 'two-classes', help: 'a class of two kinds, each nearer to another class' },
] as const;

export type FindingKind = (typeof findingKinds)[number]['kind'];

/** Something that is likely to be wrong. */
export interface Finding {
  kind: FindingKind;
  /** How sure or how grave: findings of a kind are in the order of it, most first. */
  score: number;
  /** Places of the images that it is about, the one that may go first; of classes some examples. */
  images: number[];
  /** Classes that it is about: of `wrong-label` the label and what it should be. */
  classes: number[];
}
