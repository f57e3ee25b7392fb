import { expect, it } from 'vitest';
import { resolveExperiment } from '../experiment/resolve.js';
import { withDivision } from '../experiment/settle-division.js';
import { announcement } from './announcement.js';

function lines({ sizes = {}, divide = {}, epochs = 9 }): string[] {
  const data = { dataset: { name: 'folder' as const, folder: 'photos' } };
  const experiment = withDivision(resolveExperiment({ data, divide, train: { epochs } }), {
    numLearners: 1,
    divideFrom: 0,
  });
  const size = { images: 9, classes: 3, ...sizes };
  const found = { name: 'photos', train: size, test: size, validation: size, gallery: null };
  return announcement(experiment, { data: found, threads: 1, path: 'runs/a' }).split('\n');
}
const said = (sizes: object) => lines({ sizes })[0];

it('tells how many classes there are, and of pairs how many groups and pairs', () => {
  expect(said({})).toBe(
    'photos: 9 images of 3 classes to train on, 9 of 3 unseen classes to test on, 9 of 3 to choose on',
  );
  expect(said({ pairs: 12 })).toBe(
    'photos: 9 images of 3 groups (12 pairs) to train on, 9 of 3 unseen groups (12 pairs) to test on, 9 of 3 groups (12 pairs) to choose on',
  );
});

it.each([
  [{}, 'no division'],
  [{ numLearners: 4, divideFrom: 2 }, 'up to 4 learners from epoch 3 on ('],
  [{ numLearners: 4, divideFrom: 5 }, 'up to 4 learners from epoch 6 on, of which 9 epochs reach 2 ('],
  [{ numLearners: 4, divideFrom: 0, hierarchy: 'none' }, '4 learners ('],
  [
    { numLearners: 2, divideFrom: 9, startLearners: 2 },
    '2 learners from epoch 10 on, of which 9 epochs reach 1 (',
  ],
])('tells when there are how many learners, and whether the epochs reach them: %j', (divide, words) => {
  expect(lines({ divide })[1]).toContain(` loss, ${words}`);
});
