import { datasetDifferences } from '@conquer-dml/run';
import { expect, it } from 'vitest';
import { type Dataset, splitOfClasses } from './dataset.js';
import { classesTrainedAndTested, recordOf } from './dataset-record.js';

const classOf = (folder: string, name: string, files: string[]) => ({
  name,
  paths: files.map((file) => `${folder}/${name}/${file}`),
});

function dataset(folder: string, classes: Record<string, string[]>, numTrain = 2): Dataset {
  const all = Object.entries(classes).map(([name, files]) => classOf(folder, name, files));
  return {
    name: 'own',
    folder,
    train: splitOfClasses('train', all.slice(0, numTrain)),
    test: splitOfClasses('test', all.slice(numTrain)),
    recallAt: [1],
  };
}

const classes = { a: ['1', '2'], b: ['1', '2'], c: ['1', '2'], d: ['1', '2'] };
const before = recordOf(dataset('/data', classes));
const differences = (now: Dataset) => datasetDifferences(before, recordOf(now));

it('is the same wherever the data set lies', () => {
  expect(differences(dataset('/data', classes))).toBeNull();
  expect(differences(dataset('/elsewhere/photos', classes))).toBeNull();
  const { folder: _, ...unnamed } = dataset('/elsewhere/photos', classes);
  expect(differences(unnamed)).toBeNull();
});

it('says which images and classes came, went and moved', () => {
  expect(differences(dataset('/data', { ...classes, a: ['+', '1', '2'] }))).toBe('1 image came (a/+)');
  expect(differences(dataset('/data', { ...classes, b: ['1'], d: ['1', '2', '3'] }))).toBe(
    '1 image came (d/3); 1 image went (b/2)',
  );
  const { b, ...others } = classes;
  expect(differences(dataset('/data', { a: others.a, bb: b, c: others.c, d: others.d }))).toBe(
    '1 class came (bb); 1 class went (b); 2 images came (bb/1, bb/2); 2 images went (b/1, b/2)',
  );
  expect(differences(dataset('/data', classes, 3))).toBe(
    '1 class moved (c from test to train); 2 images moved (c/1 from test/c to train/c, c/2 from test/c to train/c)',
  );
  expect(differences(dataset('/data', { ...classes, e: ['1', '2', '3', '4'] }))).toContain(
    '4 images came (e/1, e/2, e/3, …)',
  );
});

it('sees labels that changed under the same names, and another order', () => {
  const relabelled = dataset('/data', classes);
  relabelled.train.labels[0] = 1;
  expect(differences(relabelled)).toBe('1 image moved (a/1 from train/a to train/b)');
  const { a, b, c, d } = classes;
  expect(differences(dataset('/data', { b, a, c, d }))).toBe('the same images in another order');
});

it('holds validation, gallery and further test sets', () => {
  const whole = dataset('/data', classes);
  const extra = splitOfClasses('extra', [classOf('/data', 'e', ['1', '2'])]);
  for (const more of [{ validation: extra }, { gallery: extra }, { testSets: [whole.test, extra] }])
    expect(differences({ ...whole, ...more })).toContain('1 class came (e); 2 images came (e/1, e/2)');
});

it('names classes that are both trained and tested on', () => {
  const good = dataset('/data', classes);
  expect(classesTrainedAndTested(good)).toEqual([]);
  expect(classesTrainedAndTested({ ...good, gallery: good.train })).toEqual(['a', 'b']);
});
