import { expect, it } from 'vitest';
import { type Split, splitOfClasses } from './dataset.js';
import { withValidation } from './validation.js';

const split = (name: string, classes: number) =>
  splitOfClasses(
    name,
    Array.from({ length: classes }, (_, c) => ({
      name: `c${c}`,
      paths: Array.from({ length: 1 + (c % 3) }, (_, i) => `${c}/${i}`),
    })),
  );
const dataset = { name: 'x', train: split('train', 20), test: split('test', 6), recallAt: [1] };
const pairs = ({ paths, labels, classNames }: Split) =>
  paths.map((path, i) => [path, classNames[labels[i] as number]]);

it('sets whole training classes aside, the same ones every time, and leaves the test classes alone', () => {
  const { train, validation, test } = withValidation(dataset, 0.25);
  expect(test).toBe(dataset.test);
  expect(validation?.classNames).toHaveLength(5);
  expect(train.classNames).toHaveLength(15);
  expect(train.classNames.filter((name) => validation?.classNames.includes(name))).toEqual([]);
  // Every image is in one of the two, under its class.
  const both = [...pairs(train), ...pairs(validation as Split)].sort();
  expect(both).toEqual(pairs(dataset.train).sort());
  expect(withValidation(dataset, 0.25).validation).toEqual(validation);
  // Not simply the first or the last classes: data sets sort theirs by what they show.
  const numbers = validation?.classNames.map((name) => Number(name.slice(1))) ?? [];
  expect(Math.max(...numbers) - Math.min(...numbers)).toBeGreaterThan(4);
});

it('finds labels that are not class by class', () => {
  const mixed = { ...dataset, train: { ...dataset.train, labels: dataset.train.labels.map((l) => 19 - l) } };
  const { train, validation } = withValidation(mixed, 0.5);
  expect([...pairs(train), ...pairs(validation as Split)].sort()).toEqual(pairs(mixed.train).sort());
});

it('does nothing without a share, and refuses one that leaves too little', () => {
  expect(withValidation(dataset, 0)).toBe(dataset);
  expect(() => withValidation(dataset, 0.05)).toThrow('validate on 1 of 20 training classes and train on 19');
  expect(() => withValidation(dataset, 0.95)).toThrow('train on 1');
});
