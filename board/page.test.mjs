import { expect, it } from 'vitest';
import { page, secondsTo, within } from './page.mjs';
import { miniature, plan } from './plan.mjs';

const machine = { cpu: 'a processor', cores: 2, date: '2026-01-01' };
/** A result of a kept cell whose MAP@R is `quality`, after a start at `start`. */
const result = (cell, quality, start = 0.3) => ({
  ...{ cell, machine, others: 0, seconds: 10, steps: 1000, memory: 2 ** 30 },
  scores: { 'R@1': 0.9, 'MAP@R': quality },
  curve: [
    { seconds: 4, steps: 400, 'MAP@R': start, start: true },
    { seconds: 10, steps: 1000, 'R@1': 0.9, 'MAP@R': quality },
  ],
});
/** The page where some cells of the plan have a result, null being none. */
const pageWith = (resultOf) =>
  page(
    plan,
    new Map(
      plan.flatMap((cell) => {
        const found = resultOf(cell);
        return found === null ? [] : [[cell.id, found]];
      }),
    ),
  );
const pageOf = (quality) =>
  pageWith((cell) => {
    const found = quality(cell);
    return found === null ? null : result(cell, found);
  });

it('says by how much a variant is above, paired by seed, and which cells were not run', () => {
  const text = pageOf(({ id, seed }) => {
    if (!id.startsWith('kept/stamps/') || seed > 2) return null;
    const variant = id.split('/')[2];
    if (variant === 'one') return seed / 10;
    return variant === 'four' ? seed / 10 + 0.01 * seed : null;
  });
  expect(text).toMatch(/\| one learner \| 2 \| 90\.0 ± 0\.0 \| 15\.0 ± 5\.0 \| {2}\| {2}\| 1000 \| 10 \|/);
  expect(text).toMatch(/\| 4 learners, learned .* \| 2 \| .* \| \+1\.50 ± 0\.50 \(p 0\.205\) \| {2}\|/);
  expect(text).toContain(
    'above one by more than the standard error of the paired difference on stamps, below on none, of 1 set.',
  );
  expect(text).toContain('- `kept/stamps/one`: 3, 4, 5');
  expect(text).toContain('- `kept/emoji/one`: 1, 2, 3, 4, 5');
  expect(text).not.toContain('Not of one start');
  expect(text).toContain(`${plan.length - 4} of ${plan.length} cells`);
});

it('shows what learners bring by how many classes train', () => {
  const classes = { 'emoji-80': 39, emoji: 820 };
  const found = pageWith((cell) => {
    const [, set, variant] = cell.id.split('/');
    if (!cell.id.startsWith('kept/') || !classes[set] || !['one', 'four'].includes(variant)) return null;
    const more = set === 'emoji' ? 0.01 : -0.02;
    return {
      ...result(cell, variant === 'four' ? 0.3 + more : 0.3),
      train: { classes: classes[set], images: 1000 },
    };
  });
  const rows = found.split('\n').filter((line) => /^\| (39|820) \|/.test(line));
  expect(rows).toEqual(['| 39 | emoji-80 | -2.00 ± 0.00 | – |', '| 820 | emoji | +1.00 ± 0.00 | – |']);
});

it('says where variants of a seed did not begin alike, and what failed', () => {
  const starts = { 'kept/stamps/one/1': 0.3, 'kept/stamps/four/1': 0.31 };
  const text = pageWith((cell) => {
    if (cell.id === 'kept/stamps/two/1') return { cell, failed: 'Error: no room' };
    return cell.id in starts ? result(cell, 0.5, starts[cell.id]) : null;
  });
  expect(text).toContain('**Not of one start: stamps, seed 1.**');
  expect(text).toContain('- `kept/stamps/two`: 1 (failed: Error: no room), 2');
});

it('reads a curve at a budget, and how soon it is as good', () => {
  const curve = [10, 50, 61, 120].map((seconds, at) => ({ seconds, 'MAP@R': (at + 1) / 10 }));
  expect(within(curve, 60)['MAP@R']).toBe(0.3);
  expect(within(curve, 55)['MAP@R']).toBe(0.2);
  expect(within(curve, 300)).toBe(null);
  expect([secondsTo(curve, 0.25), secondsTo(curve, 0.5)]).toEqual([61, null]);
});

it.each([
  ['the plan', plan],
  ['the miniature', miniature],
])('%s names each cell once, and what a cell needs before it', (_, cells) => {
  const seen = new Set();
  for (const { id, needs = [] } of cells) {
    expect(seen.has(id), id).toBe(false);
    for (const need of needs) expect(seen.has(need), `${id} needs ${need}`).toBe(true);
    seen.add(id);
  }
});
