import { expect, it } from 'vitest';
import { commonFolder } from './common-folder.js';

it('the common folder is the deepest that holds all images', () => {
  expect(commonFolder(['/data/cats/a.png', '/data/cats/b.png'])).toBe('/data/cats');
  expect(commonFolder(['/data/cats/a.png', '/data/dogs/b.png'])).toBe('/data');
  // A name that begins as another does is another folder.
  expect(commonFolder(['/data/cat/a.png', '/data/cats/b.png'])).toBe('/data');
  expect(commonFolder(['/data/a.png', '/data/cats/b.png'])).toBe('/data');
});

it('images with only the root in common have no common folder', () => {
  expect(commonFolder(['/data/a.png', '/other/b.png'])).toBeNull();
  expect(commonFolder(['/a.png'])).toBeNull();
  expect(commonFolder([])).toBeNull();
});
