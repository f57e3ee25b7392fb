import { expect, it } from 'vitest';
import { counted } from './counted.js';

it('names what it counts', () => {
  expect([0, 1, 2].map((count) => counted(count, 'image'))).toEqual(['0 images', '1 image', '2 images']);
  expect(counted(3, 'class is', 'classes are')).toBe('3 classes are');
});
