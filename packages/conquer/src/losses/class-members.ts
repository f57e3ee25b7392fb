import { type Tensor, tensor } from '@conquer-dml/torch';
import { areAlike, hasOneLabel, type Labelled, type Rows } from '../rows.js';

/** The reference rows of each anchor's class, as many places for all as the largest class needs. */
export interface ClassMembers {
  /** (A, M) int64, ascending; 0 where there is none. */
  rows: Tensor;
  /** (A, M) bool, where there is one. */
  present: Tensor;
  /** How many, (A,). */
  counts: Int32Array;
  /** Whether all are there, so that `present` says nothing: classes of one size, as most batches have. */
  isFull: boolean;
}

/** @param withOwn whether rows of the anchor's own image count too */
export function classMembers(anchors: Rows, reference: Rows, withOwn: boolean): ClassMembers {
  const members = membersOf(anchors, reference).map((rows, anchor) => {
    if (withOwn) return rows;
    return rows.filter((row) => reference.imageIds[row] !== anchors.imageIds[anchor]);
  });
  const width = members.reduce((most, { length }) => Math.max(most, length), 1);
  const shape = [members.length, width];
  const rows = new Int32Array(members.length * width);
  const present = new Uint8Array(members.length * width);
  for (const [anchor, own] of members.entries()) {
    rows.set(own, anchor * width);
    present.fill(1, anchor * width, anchor * width + own.length);
  }
  const { device } = anchors.embeddings;
  return {
    rows: tensor(rows, { shape, dtype: 'int64', device }),
    present: tensor(present, { shape, device }).gt(0),
    counts: Int32Array.from(members, ({ length }) => length),
    isFull: members.every(({ length }) => length === width),
  };
}

function membersOf(anchors: Labelled, reference: Labelled): number[][] {
  if (hasOneLabel(anchors)) {
    const classes = new Map<number, number[]>();
    for (const [row, label] of reference.labels.entries()) {
      const members = classes.get(label);
      if (members) members.push(row);
      else classes.set(label, [row]);
    }
    return Array.from(anchors.labels, (label) => classes.get(label) ?? []);
  }
  return Array.from(anchors.imageIds, (image, anchor) =>
    [...reference.imageIds.keys()].filter(
      (row) => reference.imageIds[row] === image || areAlike(anchors, anchor, reference, row),
    ),
  );
}
