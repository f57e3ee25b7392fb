import { expect, it } from 'vitest';
import { resultsTable } from './results.js';
import { formatSeconds } from './terminal.js';

it('tables metrics in per cent, a column each, without mARP', () => {
  const table = resultsTable([
    { name: 'before training', metrics: { 'R@1': 0.1234, 'MAP@R': 0.05, mARP: 0.9 } },
    { name: 'last', metrics: { 'R@1': 0.5, NMI: 0.75 } },
  ]);
  const lines = table.split('\n').map((line) => line.replaceAll(/[│ ]+/g, ' ').trim());
  expect(lines[1]).toBe('R@1 MAP@R NMI');
  expect(lines[3]).toBe('before training 12.34 5.00');
  expect(lines[5]).toBe('last 50.00 75.00');
  expect(table).not.toContain('mARP');
});

it('writes the standard error beside what it is of', () => {
  const table = resultsTable([{ name: 'a', metrics: { 'R@1': 0.5, 'R@1 SE': 0.0123, NMI: 0.25 } }]);
  expect(table).toContain('50.00 ± 1.23');
  expect(table).not.toContain('SE');
});

it('shows mARP where asked to', () => {
  expect(resultsTable([{ name: 'a', metrics: { mARP: 0.9 } }], { compat: true })).toContain('90.00');
});

it('writes durations as a clock does', () => {
  expect([0, 59.6, 75, 3661].map(formatSeconds)).toEqual(['0:00', '1:00', '1:15', '1:01:01']);
});

it('shows what is no fraction as it is', () => {
  const table = resultsTable([{ name: 'a', metrics: { MAP: 0.5, rho: 0.0123, intra: 0.4, inter: 1.01 } }]);
  for (const text of ['50.00', '0.0123', '0.4000', '1.0100']) expect(table).toContain(text);
});
