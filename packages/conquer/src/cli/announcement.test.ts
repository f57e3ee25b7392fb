import { expect, it } from 'vitest';
import { resolveExperiment } from '../experiment/resolve.js';
import { announcement } from './announcement.js';

const experiment = resolveExperiment({ data: { dataset: { name: 'folder', folder: 'photos' } } });
const said = (more: object) => {
  const size = { images: 9, classes: 3, ...more };
  const data = { name: 'photos', train: size, test: size, validation: size, gallery: null };
  return announcement(experiment, { data, threads: 1, path: 'runs/a' }).split('\n')[0];
};

it('tells how many classes there are, and of pairs how many groups and pairs', () => {
  expect(said({})).toBe(
    'photos: 9 images of 3 classes to train on, 9 of 3 unseen classes to test on, 9 of 3 to choose on',
  );
  expect(said({ pairs: 12 })).toBe(
    'photos: 9 images of 3 groups (12 pairs) to train on, 9 of 3 unseen groups (12 pairs) to test on, 9 of 3 groups (12 pairs) to choose on',
  );
});
