import { scope, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import type { AuditedImages } from './audited-images.js';
import { classesThatAreOne, classesThatAreTwo } from './class-structure.js';
import { findCopies } from './find-copies.js';
import { leaveOneOut } from './leave-one-out.js';
import { outliers } from './outliers.js';
import { wrongLabels } from './wrong-labels.js';

const DIM = 16;
const EACH = 30;

/** Rows of length 1 of some classes, which lie apart as far as their spread allows. */
function rowsOf(classes: number, spread = 0.15, seed = 1) {
  const random = new Random(seed);
  const rows: number[] = [];
  const labels: number[] = [];
  for (let label = 0; label < classes; label++) {
    const mean = unit(Array.from({ length: DIM }, () => random.normal()));
    for (let i = 0; i < EACH; i++) {
      rows.push(...unit(mean.map((x) => x + spread * random.normal())));
      labels.push(label);
    }
  }
  return { rows: Float32Array.from(rows), labels: Int32Array.from(labels) };
}

function unit(row: number[]): number[] {
  const norm = Math.hypot(...row);
  return row.map((x) => x / norm);
}

const asTensor = (rows: Float32Array) => tensor(rows, { shape: [rows.length / DIM, DIM] });

describe('wrongLabels', () => {
  it('finds the labels that were changed and what they were, and few others', () => {
    const { rows, labels } = rowsOf(8);
    const random = new Random(2);
    const changed = new Map<number, number>();
    const given = labels.slice();
    for (const place of random.choice(labels.length, 12)) {
      changed.set(place, labels[place]!);
      given[place] = (labels[place]! + 1 + random.int(7)) % 8;
    }
    const found = scope(() => wrongLabels(leaveOneOut(asTensor(rows), given, 8), given, 8));
    const right = found.filter(({ images, classes }) => changed.get(images[0]!) === classes[1]);
    expect(right.length).toBeGreaterThanOrEqual(11);
    expect(found.length - right.length).toBeLessThanOrEqual(1);
    for (const { images, classes } of found) expect(classes[0]).toBe(given[images[0]!]);
  });

  it('finds nothing where labels are right', () => {
    const { rows, labels } = rowsOf(8, 0.05);
    expect(scope(() => wrongLabels(leaveOneOut(asTensor(rows), labels, 8), labels, 8))).toEqual([]);
  });
});

describe('classes that are one, or two', () => {
  it('finds the class that was divided at random, and no other pair', () => {
    const { rows, labels } = rowsOf(6);
    const random = new Random(4);
    const given = labels.map((label) => (label === 2 && random.next() < 0.5 ? 6 : label));
    const found = scope(() => classesThatAreOne(leaveOneOut(asTensor(rows), given, 7), given, 7));
    expect(found.map(({ classes }) => classes)).toEqual([[2, 6]]);
  });

  it('finds the class that two were joined to, and no other', () => {
    const { rows, labels } = rowsOf(30);
    // The class that is the least like the first one.
    const cosine = (a: number, b: number) =>
      rows
        .subarray(a * EACH * DIM, (a * EACH + 1) * DIM)
        .reduce((sum, x, d) => sum + x * rows[b * EACH * DIM + d]!, 0);
    const far = Array.from({ length: 29 }, (_, i) => i + 1).sort((a, b) => cosine(0, a) - cosine(0, b))[0]!;
    const given = labels.map((label) => (label === far ? 0 : label));
    const found = scope(() => classesThatAreTwo(asTensor(rows), given, 30));
    expect(found.map(({ classes }) => classes)).toEqual([[0]]);
    // Its examples are of both.
    expect(new Set(found[0]!.images.map((place) => labels[place]))).toEqual(new Set([0, far]));
  });
});

describe('outliers', () => {
  it('finds what lies far from all others', () => {
    const { rows } = rowsOf(5);
    const random = new Random(9);
    const strange = Array.from({ length: 3 }, () =>
      unit(Array.from({ length: DIM }, () => random.normal())),
    ).flat();
    const found = scope(() => outliers(asTensor(Float32Array.from([...rows, ...strange]))));
    expect(found.map(({ images }) => images[0]).sort()).toEqual([150, 151, 152]);
  });
});

describe('findCopies', () => {
  const { rows } = rowsOf(1);
  const some = rows.slice(0, 6 * DIM);
  // 3 is 0 again by its bytes, 4 all but 1, 5 all but 2.
  for (const [copy, of] of [
    [3, 0],
    [4, 1],
    [5, 2],
  ] as const)
    for (let d = 0; d < DIM; d++)
      some[copy * DIM + d] = some[of * DIM + d]! + (copy === 3 || d > 0 ? 0 : 1e-3);
  const hashes = ['a', 'b', 'c', 'a', 'd', 'e'];
  const images = (labels: number[], splits: string[] | null): AuditedImages => ({
    folder: null,
    paths: ['0', '1', '2', '3', '4', '5'],
    labels: Int32Array.from(labels),
    classNames: ['x', 'y'],
    splits,
  });
  const found = (labels: number[], splits: string[] | null) =>
    scope(() => findCopies(images(labels, splits), asTensor(some), { hashes, minSimilarity: 0.9999 })).map(
      ({ kind, images: [first, second] }) => `${kind} ${first} ${second}`,
    );

  it('tells copies by bytes from those that are alike, each pair once', () => {
    expect(found([0, 0, 0, 0, 0, 0], null)).toEqual([
      'exact-duplicate 3 0',
      'near-duplicate 4 1',
      'near-duplicate 5 2',
    ]);
  });

  it('calls a pair by what is graver: two classes, then two parts', () => {
    expect(found([0, 0, 0, 1, 0, 1], ['train', 'test', 'train', 'test', 'train', 'test'])).toEqual([
      'two-labels 0 3',
      'leak 4 1',
      'two-labels 2 5',
    ]);
  });

  it('does not ask images without a class about it', () => {
    expect(found([0, 0, 0, -1, 0, 0], null)[0]).toBe('exact-duplicate 3 0');
  });
});
