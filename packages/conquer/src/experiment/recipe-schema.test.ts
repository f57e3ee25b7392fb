import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EXPERIMENT_FORMAT } from '@conquer-dml/run';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { recipeNames } from './recipe.js';
import { recipeSchema } from './recipe-schema.js';
import { resolveExperiment } from './resolve.js';

const recipes = new URL('../../recipes/', import.meta.url);
const check = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(recipeSchema());
const problems = (value: unknown) => (check(value) ? [] : (check.errors ?? []));

test('the file that the build writes is the schema of the sources, and recipes point to it', () => {
  for (const name of recipeNames()) {
    const recipe = JSON.parse(readFileSync(new URL(`${name}.json`, recipes), 'utf8'));
    const schema = fileURLToPath(new URL(recipe.$schema, recipes));
    expect(JSON.parse(readFileSync(schema, 'utf8')), name).toEqual(recipeSchema());
  }
});

test.each(recipeNames())('the recipe %s is as the schema says', (name) => {
  const recipe = JSON.parse(readFileSync(new URL(`${name}.json`, recipes), 'utf8'));
  expect(problems(recipe)).toEqual([]);
});

test('so is a resolved experiment, as config.json holds it', () => {
  const resolved = resolveExperiment({ data: { dataset: { name: 'emoji' } } });
  expect(problems(JSON.parse(JSON.stringify({ format: EXPERIMENT_FORMAT, ...resolved })))).toEqual([]);
});

test.each([
  [{ loss: { name: 'margin', margin: -1 } }, '/loss'],
  [{ loss: { name: 'margin', temperature: 1 } }, '/loss'],
  [{ loss: { name: 'marjin' } }, '/loss'],
  [{ optimize: { learningrate: 1 } }, '/optimize'],
  [{ train: { epochs: 1.5 } }, '/train/epochs'],
  [{ lr: 0.001 }, ''],
  [{ published: { 'R@1': 79.8 } }, '/published/R@1'],
])('%j is not', (recipe, path) => {
  expect(problems(recipe).map(({ instancePath }) => instancePath)).toContainEqual(
    expect.stringMatching(new RegExp(`^${path}`)),
  );
});
