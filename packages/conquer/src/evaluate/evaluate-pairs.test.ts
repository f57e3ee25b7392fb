import { tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { Random } from '../random.js';
import { evaluatePairs } from './evaluate-pairs.js';
import type { ListedDistances } from './listed-distances.js';

/** Images on a line, two a pair: so far apart. */
function apart(distances: readonly number[], same: readonly number[]) {
  const rows = distances.flatMap((distance) => [[0], [distance]]);
  const pairs = {
    first: Int32Array.from(distances, (_, i) => 2 * i),
    second: Int32Array.from(distances, (_, i) => 2 * i + 1),
    same: Uint8Array.from(same),
  };
  return { rows, pairs };
}

it('measures the area under the ROC, ties counted half, and what is missed where few are taken wrongly', () => {
  const { rows, pairs } = apart([0.1, 0.2, 0.5, 0.5, 0.3, 0.9], [1, 1, 1, 0, 0, 0]);
  let found: ListedDistances | undefined;
  const metrics = evaluatePairs(rows, pairs, { onDistances: (distances) => (found = distances) });
  // 0.1 and 0.2 are before all three; 0.5 is after 0.3, beside 0.5, before 0.9.
  expect(metrics['ROC-AUC']).toBeCloseTo((3 + 3 + 1.5) / 9, 12);
  // NumPy's quantile(…, 0.1) of 0.3, 0.5, 0.9 is 0.34: 0.5 is missed.
  expect(metrics['FNMR@FMR0.1']).toBeCloseTo(1 / 3, 12);
  const roc = found!.roc();
  expect(roc[0]).toMatchObject({ falseMatch: 0, trueMatch: 0 });
  expect(roc.at(-1)).toMatchObject({ falseMatch: 1, trueMatch: 1 });
  const area = roc.slice(1).reduce((sum, { falseMatch, trueMatch }, i) => {
    const before = roc[i]!;
    return sum + ((falseMatch - before.falseMatch) * (trueMatch + before.trueMatch)) / 2;
  }, 0);
  expect(area).toBeCloseTo(metrics['ROC-AUC']!, 12);
});

it('tries a distance on other pairs than it was chosen on', () => {
  const random = new Random(1);
  const count = 2000;
  const same = Array.from({ length: count }, (_, i) => i % 2);
  // Evenly spread over 0…1 and 0.5…1.5: no distance puts more than three quarters right.
  const distances = same.map((answer) => random.next() + (answer ? 0 : 0.5));
  const { rows, pairs } = apart(distances, same);
  const metrics = evaluatePairs(tensor(rows, { dtype: 'float64' }), pairs);
  expect(metrics.accuracy).toBeGreaterThan(0.72);
  expect(metrics.accuracy).toBeLessThan(0.78);
  expect(metrics['accuracy SE']).toBeGreaterThan(0.003);
  expect(metrics['accuracy SE']).toBeLessThan(0.03);
  // By chance the distance that suits few pairs best does not suit others.
  const noise = apart(
    Array.from({ length: 20 }, () => random.next()),
    same.slice(0, 20),
  );
  expect(evaluatePairs(noise.rows, noise.pairs).accuracy).toBeLessThan(0.75);
});

it('is 1 where every same pair is nearer than every different one, and for one pair of each kind', () => {
  const all = { accuracy: 1, 'ROC-AUC': 1, 'FNMR@FMR0.1': 0 };
  const perfect = apart([0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [1, 1, 1, 0, 0, 0]);
  expect(evaluatePairs(perfect.rows, perfect.pairs)).toMatchObject(all);
  const two = apart([0.1, 0.2], [1, 0]);
  expect(evaluatePairs(two.rows, two.pairs)).toMatchObject(all);
  const equal = apart([0.4, 0.4, 0.4, 0.4], [1, 0, 1, 0]);
  expect(evaluatePairs(equal.rows, equal.pairs)).toMatchObject({ 'ROC-AUC': 0.5, 'FNMR@FMR0.1': 1 });
});

it.each([
  [{ same: Uint8Array.of(1, 1) }, /pairs of both kinds, got 2 the same and 0 different/],
  [{ second: Int32Array.of(1, 9) }, /places 0…3 of the rows, got 9/],
  [{ first: Int32Array.of(1, 2) }, /got row 1 twice in pair 0/],
  [{ first: Int32Array.of(1) }, /for each pair, got 1, 2 and 2/],
])('refuses pairs that are none: %o', (wrong, message) => {
  const { rows, pairs } = apart([0.1, 0.2], [1, 0]);
  expect(() => evaluatePairs(rows, { ...pairs, ...wrong })).toThrow(message);
});
