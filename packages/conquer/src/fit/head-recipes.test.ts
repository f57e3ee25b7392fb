import { expect, it } from 'vitest';
import { DIVIDED_FROM } from '../divide/usual-division.js';
import { headRecipes, isTried } from './head-recipes.js';

it('tries learners where nothing is named only of many classes', () => {
  const tried = (classes: number) =>
    headRecipes.filter((recipe) => isTried(recipe, classes)).map(({ name }) => name);
  expect(tried(DIVIDED_FROM - 1)).toEqual(['linear', 'mlp']);
  expect(tried(DIVIDED_FROM)).toEqual(['linear', 'mlp', 'divided']);
});
