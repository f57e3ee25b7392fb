import { expect, it } from 'vitest';
import { type Split, splitOfClasses } from './dataset.js';
import { splitOfPairs } from './pairs.js';
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

/** Pairs `ab+` the same, `ac-` different, of photos a, b, … */
const ofPairs = (text: string) => ({
  name: 'pairs',
  train: splitOfPairs(
    'train',
    text.split(' ').map(([first, second, same]) => ({
      first: first!,
      second: second!,
      same: same === '+',
    })),
    '/',
  ),
  test: split('test', 0),
  recallAt: [1],
});
const listed = ({ paths, pairs }: Split) =>
  Array.from(pairs!.same, (same, pair) =>
    [paths[pairs!.first[pair]!], paths[pairs!.second[pair]!], same ? '+' : '-'].join(''),
  );

it('sets groups of pairs aside, whole, and says how many pairs are across', () => {
  const text = 'ab+ cd+ ef+ gh+ ij+ kl+ ac- ae- ag- ai- ak- ce- cg- ci- ck- eg- ei- ek- gi- gk- ik-';
  const warnings: string[] = [];
  const given = ofPairs(text);
  const { train, validation } = withValidation(given, 0.5, (line) => warnings.push(line));
  expect([train.classNames.length, validation!.classNames.length]).toEqual([3, 3]);
  expect(train.paths.filter((path) => validation!.paths.includes(path))).toEqual([]);
  expect([...train.paths, ...validation!.paths].sort()).toEqual([...given.train.paths].sort());
  const kept = text.split(' ').filter((pair) => {
    const inside = [pair[0]!, pair[1]!].filter((path) => train.paths.includes(path)).length;
    return inside !== 1;
  });
  expect([...listed(train), ...listed(validation!)].sort()).toEqual(kept.sort());
  expect(listed(train)).toHaveLength(6);
  expect(warnings).toEqual([expect.stringMatching(/^9 of 21 training pairs are of an image that trains/)]);
  expect(validation!.name).toBe('validation');
});

it('counts groups where there are pairs', () => {
  expect(() => withValidation(ofPairs('ab+ cd+ ef+ gh+ ac- eg-'), 0.1)).toThrow(
    'validate on 0 of 4 training groups and train on 4',
  );
});

it('refuses to validate on pairs of one kind', () => {
  expect(() => withValidation(ofPairs('ab+ cd+ ef+ gh+ ac- eg-'), 0.5)).toThrow(
    /0\.5 would train on \d same and \d different pairs and validate on \d same and \d different: both need both kinds/,
  );
});
