import { noGrad, scope, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { leaveOneOut } from './leave-one-out.js';

/** Rows of some classes around their means, in few dimensions. */
function drawn(classes: number, each: number, dim: number, spread = 1) {
  const random = new Random(3);
  const rows: number[][] = [];
  const labels: number[] = [];
  for (let c = 0; c < classes; c++) {
    const mean = Array.from({ length: dim }, () => random.normal() * 2);
    for (let i = 0; i < each + (c % 3); i++) {
      rows.push(mean.map((m, d) => m + random.normal() * spread * (1 + d / dim)));
      labels.push(c);
    }
  }
  return { rows, labels: Int32Array.from(labels) };
}

/** The same of one row by solving without it, in plain numbers; the divisor and the shrinkage's aim are those of all rows. */
function byHand(
  rows: number[][],
  labels: Int32Array,
  classes: number,
  out: number,
  share: number,
  temperature: number,
) {
  const dim = rows[0]!.length;
  const meansOf = (kept: number[]) =>
    Array.from({ length: classes }, (_, c) => {
      const of = kept.filter((i) => labels[i] === c);
      return Array.from({ length: dim }, (_, d) => of.reduce((sum, i) => sum + rows[i]![d]!, 0) / of.length);
    });
  const scatter = (kept: number[], means: number[][]) => {
    const S = Array.from({ length: dim }, () => new Array<number>(dim).fill(0));
    for (const i of kept) {
      const off = rows[i]!.map((x, d) => x - means[labels[i]!]![d]!);
      for (let a = 0; a < dim; a++) for (let b = 0; b < dim; b++) S[a]![b]! += off[a]! * off[b]!;
    }
    return S;
  };
  const all = [...labels.keys()];
  const without = all.filter((i) => i !== out);
  const divisor = rows.length - classes;
  const whole = scatter(all, meansOf(all));
  const variance = whole.reduce((sum, row, d) => sum + row[d]!, 0) / divisor / dim;
  const means = meansOf(without);
  const S = scatter(without, means).map((row, a) =>
    row.map((value, b) => ((1 - share) * value) / divisor + (a === b ? share * variance : 0)),
  );
  const solve = (d: number[]): number[] => {
    const m = S.map((row, i) => [...row, d[i]!]);
    for (let i = 0; i < dim; i++)
      for (let j = 0; j < dim; j++)
        if (j !== i) {
          const f = m[j]![i]! / m[i]![i]!;
          for (let k = i; k <= dim; k++) m[j]![k]! -= f * m[i]![k]!;
        }
    return m.map((row, i) => row[dim]! / row[i]!);
  };
  const counts = Array.from({ length: classes }, (_, c) => all.filter((i) => labels[i] === c).length);
  const logits = means.map((mean, c) => {
    const d = rows[out]!.map((x, at) => x - mean[at]!);
    const q = solve(d).reduce((sum, value, at) => sum + value * d[at]!, 0);
    return (-0.5 * q) / temperature + Math.log(counts[c]!);
  });
  const most = Math.max(...logits);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
  return logits.map((value) => Math.exp(value - most) / total);
}

const of = (
  rows: number[][],
  ...rest: Parameters<typeof leaveOneOut> extends [unknown, ...infer Rest] ? Rest : never
) =>
  scope(() =>
    noGrad(() =>
      leaveOneOut(tensor(Float64Array.from(rows.flat()), { shape: [rows.length, rows[0]!.length] }), ...rest),
    ),
  );

describe('leaveOneOut', () => {
  it('is what solving without each row gives', () => {
    const { rows, labels } = drawn(4, 6, 5);
    const [shrinkage, temperature] = [0.1, 2];
    const found = of(rows, labels, 4, { shrinkage, temperature });
    for (const place of rows.keys()) {
      const expected = byHand(rows, labels, 4, place, shrinkage, temperature);
      expect(found.own[place]).toBeCloseTo(expected[labels[place]!]!, 10);
      for (let k = 0; k < found.kept; k++) {
        const at = place * found.kept + k;
        expect(found.probabilities[at]).toBeCloseTo(expected[found.classes[at]!]!, 10);
      }
    }
  });

  it('does not judge the only row of a class, and still takes it for a class', () => {
    const { rows, labels } = drawn(3, 8, 4, 0.1);
    rows.push([...rows[0]!.map((x) => x + 40)], [...rows[0]!.map((x) => x + 40.01)]);
    const found = of(rows, Int32Array.from([...labels, 3, 0]), 4);
    expect(found.own[rows.length - 2]).toBeNaN();
    expect(found.classes[(rows.length - 1) * found.kept]).toBe(3);
  });

  it('chooses what makes the labels likeliest, and is sure of classes that lie apart', () => {
    const { rows, labels } = drawn(5, 20, 6, 0.05);
    const found = of(rows, labels, 5);
    expect(Math.min(...found.own)).toBeGreaterThan(0.99);
  });

  it('refuses labels that nothing can be learnt from', () => {
    expect(() => of([[1], [2]], Int32Array.of(0, 0), 1)).toThrow(/two classes/);
    expect(() => of([[1], [2]], Int32Array.of(0, 1), 2)).toThrow(/two rows/);
  });
});
