import { Generator, liveTensors, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { photosOf } from './class-splits.js';
import { headDefaults } from './head-recipes.js';
import { trainHead } from './head-training.js';
import { KeptFeatures } from './keep-features.js';

const PHOTOS = 60;
const labels = Int32Array.from({ length: PHOTOS }, (_, i) => Math.floor(i / 5));
const categories = Array.from({ length: 12 }, (_, label) => `category ${label % 3}`);
const bad = new Uint8Array(PHOTOS);

/** The weights of a head that was trained with a sampler on ten of the classes, in an order of their own. */
async function trained(sampler: object, named: readonly string[] | undefined) {
  using kept = new KeptFeatures(
    randn([PHOTOS, 8], { generator: new Generator(1) }),
    PHOTOS,
    1,
    bad,
    PHOTOS,
    '',
  );
  const experiment = resolveExperiment(
    mergeExperiments(headDefaults, {
      data: { dataset: { name: 'folder', folder: '.' }, sampler: sampler as never, batchSize: 12 },
      model: { embeddingDim: 4, backbone: { name: 'small-resnet' } },
      optimize: { learningRate: 1e-2 },
      train: { epochs: 4, seed: 3 },
    }),
  );
  const network = {
    name: 'features',
    featureSize: 8,
    input: { mean: [0, 0, 0], std: [1, 1, 1], channels: 'RGB', scale: 1 } as never,
  };
  const train = photosOf([7, 2, 0, 11, 4, 9, 1, 5, 3, 8], labels, bad, named);
  using model = await trainHead({ experiment, kept, network, train });
  return scope(() => [...model.parameters()].flatMap((parameter) => [...parameter.toNumbers()]));
}

it('a head draws by the categories of its classes, whatever their order, and by how difficult photos are', async () => {
  const before = liveTensors();
  const hierarchical = { name: 'hierarchical', categoriesPerBatch: 1 };
  await expect(trained(hierarchical, undefined)).rejects.toThrow(/needs the category of each class/);
  const byCategory = await trained(hierarchical, categories);
  expect(byCategory.every(Number.isFinite)).toBe(true);
  // Other kinds of things share a batch.
  expect(
    await trained(
      hierarchical,
      categories.map((_, label) => `category ${label % 2}`),
    ),
  ).not.toEqual(byCategory);
  const byDifficulty = await trained({ name: 'hard-images', hardness: 20 }, undefined);
  expect(await trained({ name: 'hard-images', hardness: 20 }, undefined)).toEqual(byDifficulty);
  expect(await trained({ name: 'hard-images', hardness: 0 }, undefined)).not.toEqual(byDifficulty);
  expect(liveTensors()).toBe(before);
});

it('of some classes has the category of each, by its new number', () => {
  const { categories: of } = photosOf([7, 2, 0], labels, bad, categories);
  expect(of).toEqual(['category 1', 'category 2', 'category 0']);
  expect(photosOf([7, 2], labels, bad).categories).toBeUndefined();
});
