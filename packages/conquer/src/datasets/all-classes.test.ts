import { describe, expect, it } from 'vitest';
import { withAllClasses } from './all-classes.js';
import { type Dataset, splitOfClasses } from './dataset.js';

const split = (name: string, classes: Record<string, string[]>) =>
  splitOfClasses(
    name,
    Object.entries(classes).map(([className, paths]) => ({ name: className, paths })),
  );

describe('withAllClasses', () => {
  it('trains on what every split holds, each file once, and leaves nothing to test on', () => {
    const test = split('query', { c: ['c1'], d: ['d1'] });
    const dataset: Dataset = {
      name: 'shop',
      train: split('train', { a: ['a1', 'a2'], b: ['b1'] }),
      validation: split('validation', { v: ['v1', 'v2'] }),
      test,
      gallery: split('gallery', { c: ['c2', 'c1'], d: [] }),
      testSets: [test, split('large', { c: ['c3'], e: ['e1'] })],
      recallAt: [1, 10],
    };
    const all = withAllClasses(dataset);
    expect(all.train).toEqual(
      split('train', {
        a: ['a1', 'a2'],
        b: ['b1'],
        v: ['v1', 'v2'],
        c: ['c1', 'c2', 'c3'],
        d: ['d1'],
        e: ['e1'],
      }),
    );
    expect(all.test).toEqual({ name: 'query', paths: [], labels: new Int32Array(0), classNames: [] });
    expect(Object.keys(all).sort()).toEqual(['name', 'recallAt', 'test', 'train']);
  });
});
