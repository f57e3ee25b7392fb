import { expect, it } from 'vitest';
import { imageSizeAt } from './growing-size.js';

const sides = (from: number | null, epochs: number, takes = (_: number) => true) =>
  Array.from({ length: 6 }, (_, epoch) =>
    imageSizeAt(epoch, { imageSize: 64, imageSizeFrom: from, imageSizeEpochs: epochs }, takes),
  );

it('grows evenly from the first epoch on, and is whole after so many', () => {
  expect(sides(32, 4)).toEqual([32, 40, 48, 56, 64, 64]);
  expect(sides(32, 3)).toEqual([32, 42, 53, 64, 64, 64]);
  expect(sides(32, 1)).toEqual([32, 64, 64, 64, 64, 64]);
  expect(sides(null, 4)).toEqual([64, 64, 64, 64, 64, 64]);
});

it('is a side that the network takes', () => {
  expect(sides(32, 3, (side) => side % 16 === 0)).toEqual([32, 32, 48, 64, 64, 64]);
});
