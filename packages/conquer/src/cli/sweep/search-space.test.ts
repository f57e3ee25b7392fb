import { describe, expect, it } from 'vitest';
import { halvingRounds } from './rounds.js';
import { choiceOf, drawnFrom, gridOf } from './search-space.js';

describe('choiceOf', () => {
  it.each([
    ['loss.margin=0.1,0.2', { values: [0.1, 0.2] }],
    ['model.backbone.name=resnet18', { values: ['resnet18'] }],
    ['data.shuffle=true,null', { values: [true, null] }],
    ['loss=[{"name":"margin"},{"name":"triplet"}]', { values: [{ name: 'margin' }, { name: 'triplet' }] }],
    ['divide.numLearners=1..8', { distribution: 'int_uniform', min: 1, max: 8 }],
    ['loss.margin=0.1..0.5', { distribution: 'uniform', min: 0.1, max: 0.5 }],
    ['loss.margin=.1..1', { distribution: 'uniform', min: 0.1, max: 1 }],
    ['optimize.learningRate=1e-5..1e-3:log', { distribution: 'log_uniform_values', min: 1e-5, max: 1e-3 }],
    ['data.dataset.folder=../photos,photos..old', { values: ['../photos', 'photos..old'] }],
  ])('reads %s', (text, choice) => {
    expect(choiceOf(text)).toEqual([text.split('=')[0], choice]);
  });

  it.each([
    'loss.margin',
    'loss.margin=',
    '=1',
    'a b=1',
    'lr=2..1',
    'lr=0..1:log',
    'lr=a..b',
    'loss=[]',
    'loss=[1',
  ])('refuses %s in a line', (text) => {
    expect(() => choiceOf(text)).toThrow(/^expected FIELD=A,B,C .*, got "/);
  });
});

it('a grid is all pairs, and has no ranges', () => {
  const space = Object.fromEntries([choiceOf('a=1,2'), choiceOf('b=x,y')]);
  expect(gridOf(space)).toEqual([
    { a: 1, b: 'x' },
    { a: 1, b: 'y' },
    { a: 2, b: 'x' },
    { a: 2, b: 'y' },
  ]);
  expect(() => gridOf(Object.fromEntries([choiceOf('a=1..2')]))).toThrow('expected values of a, got a range');
});

it('draws lie within their ranges, and more of them begin with the same', () => {
  const space = Object.fromEntries(['a=1..3', 'b=0.5..1', 'c=1e-4..1e-2:log', 'd=p,q'].map(choiceOf));
  const points = drawnFrom(space, 200, 7);
  expect(new Set(points.map(({ a }) => a))).toEqual(new Set([1, 2, 3]));
  for (const { b } of points) expect(b).toSatisfy((value: number) => value >= 0.5 && value < 1);
  const below = points.filter(({ c }) => (c as number) < 1e-3).length;
  expect(below).toBeGreaterThan(70); // half, by their logarithm
  expect(below).toBeLessThan(130);
  expect(drawnFrom(space, 5, 7)).toEqual(points.slice(0, 5));
  expect(drawnFrom(space, 5, 8)).not.toEqual(points.slice(0, 5));
});

it('halving gives the best more epochs, and the last of them all', () => {
  expect(halvingRounds(9, 27, 3)).toEqual([
    { trials: 9, epochs: 3 },
    { trials: 3, epochs: 9 },
    { trials: 1, epochs: 27 },
  ]);
  expect(halvingRounds(16, 4, 2)).toEqual([
    { trials: 16, epochs: 1 },
    { trials: 8, epochs: 2 },
    { trials: 4, epochs: 4 },
  ]);
  expect(halvingRounds(2, 1, 3)).toEqual([{ trials: 2, epochs: 1 }]);
});
