import { expect, it } from 'vitest';
import { figure } from './figure.mjs';

const cell = (id, mapAtR, curve = []) => [
  id,
  { cell: { seed: Number(id.split('/').at(-1)) }, scores: { 'MAP@R': mapAtR }, curve },
];

it('shows what variants have above one learner, once there are two seeds of both', () => {
  const one = [cell('kept/stamps/one/1', 0.3), cell('kept/stamps/one/2', 0.4)];
  expect(figure(new Map([...one, cell('kept/stamps/four/1', 0.31)]))).toBeNull();
  const four = [cell('kept/stamps/four/1', 0.31), cell('kept/stamps/four/2', 0.43)];
  const drawn = figure(new Map([...one, ...four]));
  expect(drawn).toContain('>stamps, kept features</text>');
  expect(drawn).toContain('>4 learners</text>');
  expect(drawn).not.toContain('2 learners');
  expect(drawn).not.toMatch(/NaN|undefined|Infinity/);
  // +2 ± 1 points: the dot in the middle of its line.
  const [, x1, x2] = /<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" stroke="#2a6fdb"/.exec(drawn);
  const [, middle] = /<circle cx="([\d.]+)"/.exec(drawn);
  expect((Number(x1) + Number(x2)) / 2).toBeCloseTo(Number(middle), 0);
});

it('shows quality against time where two sides were run, the mean over seeds where all have got to', () => {
  const curve = (...scores) => scores.map((score, at) => ({ seconds: 60 * (at + 1), 'MAP@R': score }));
  const ours = [
    cell('time/emoji-scratch/conquer/1', 0.3, curve(0.1, 0.2, 0.3)),
    cell('time/emoji-scratch/conquer/2', 0.4, curve(0.2, 0.4)),
  ];
  expect(figure(new Map(ours))).toBeNull();
  const drawn = figure(new Map([...ours, cell('time/emoji-scratch/pml/1', 0.2, curve(0.1, 0.2))]));
  expect(drawn).toContain('>emoji, scratch: MAP@R by minutes of training</text>');
  expect(drawn).toContain('>conquer (2)</text>');
  expect(drawn).toContain('>pytorch-metric-learning (1)</text>');
  expect(drawn).not.toMatch(/NaN|undefined|Infinity/);
  const [, points] = /<polyline points="([^"]+)"/.exec(drawn);
  expect(points.split(' ')).toHaveLength(2);
});
