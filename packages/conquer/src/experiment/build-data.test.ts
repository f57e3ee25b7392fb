import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator } from '@conquer-dml/torch';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BatchImages } from '../batch-images.js';
import type { Dataset } from '../datasets/dataset.js';
import { OptionError } from '../option-error.js';
import { Random } from '../random.js';
import { buildDataset, buildImages, buildNetwork } from './build.js';
import type { Experiment, ExperimentInput } from './experiment.js';
import { resolveExperiment } from './resolve.js';

const folder = temporaryFolder();
const cache = temporaryFolder();
const images = join(folder, 'images');
const classes = join(folder, 'classes');
let dataset: Dataset;

beforeAll(async () => {
  vi.stubEnv('CONQUER_CACHE', cache);
  for (let label = 0; label < 4; label++) {
    mkdirSync(join(images, `class-${label}`), { recursive: true });
    for (let image = 0; image < 4; image++) {
      // Flat colour: a cut or a flip changes nothing, so that what changes is the family's doing.
      const fill = `<rect width="40" height="40" fill="hsl(${label * 80 + image * 10},60%,50%)"/>`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">${fill}</svg>`;
      writeFileSync(join(images, `class-${label}`, `${image}.svg`), svg);
    }
  }
  for (let c = 0; c < 20; c++) {
    mkdirSync(join(classes, `class-${c}`), { recursive: true });
    // Only looked at when they are decoded.
    for (const name of ['a.png', 'b.png']) writeFileSync(join(classes, `class-${c}`, name), 'x');
  }
  const { data } = sized({});
  dataset = await buildDataset(resolveExperiment({ data }), {});
});
afterAll(() => vi.unstubAllEnvs());

type Data = NonNullable<ExperimentInput['data']>;
const sized = (data: Data): ExperimentInput => ({
  data: { dataset: { name: 'folder', folder: images }, imageSize: 32, resize: 40, ...data },
  model: { backbone: { name: 'small-resnet', widths: [4] }, embeddingDim: 8 },
  divide: { numLearners: 1 },
});

/** As a network of the experiment sees them. */
async function imagesOf(experiment: Experiment) {
  const generators = { generator: new Generator(1), dropoutGenerator: new Generator(1) };
  using network = buildNetwork(experiment, generators, {});
  return await buildImages(experiment, dataset, network.view, { bad: null }, {});
}

async function views(name: 'standard' | 'geom' | 'geom-color' | 'color-heavy' | 'none', cached = false) {
  const experiment = resolveExperiment(sized({ augmentation: { name }, cache: cached }));
  const data = await imagesOf(experiment);
  const first = async (batches: AsyncIterable<{ images: BatchImages }>) => {
    for await (const { images } of batches)
      return JSON.stringify(images.narrow(0, 0, images.shape[0]!).tolist());
    throw new Error('no batch');
  };
  const all = [Int32Array.from(dataset.train.labels.keys())];
  return {
    augmented: await first(data.augmented(all, new Random(3), 0)),
    train: await first(data.plain('train')),
    test: await first(data.plain('test')),
  };
}

describe('augmentation', () => {
  it('is of training images only, and each family another', async () => {
    const plain = await views('none');
    expect(plain.augmented).toBe(plain.train);
    const standard = await views('standard');
    const seen = new Set<string>();
    for (const name of ['geom', 'geom-color', 'color-heavy'] as const) {
      const { augmented, train, test } = await views(name);
      expect(train).toBe(plain.train);
      expect(test).toBe(plain.test);
      expect(augmented).not.toBe(standard.augmented);
      seen.add(augmented);
    }
    expect(seen.size).toBe(3);
  });

  it('cuts out of a cache of decoded images what it cuts out of the files', async () => {
    // Smaller images than data.resize are kept as they are.
    for (const name of ['standard', 'geom'] as const)
      expect(await views(name, true)).toEqual(await views(name));
  });
});

it('says in a line that decoded images cannot be kept, and where else they could be', async () => {
  // A file where the folder is to be, as no test can fill a disk.
  writeFileSync(join(cache, 'packs-taken'), '');
  vi.stubEnv('CONQUER_CACHE', join(cache, 'packs-taken'));
  const open = () => imagesOf(resolveExperiment(sized({ cache: true })));
  await expect(open()).rejects.toThrow(UserError);
  await expect(open()).rejects.toThrow(
    /^decoded images cannot be kept in .*\.pack \(ENOTDIR.*\): make room there, .*CONQUER_CACHE/,
  );
  vi.stubEnv('CONQUER_CACHE', cache);
});

describe('the classes', () => {
  const open = (data: Data, split: 'half' | 'random' = 'half', trainFraction = 0.5, seed = 1) => {
    const named = { name: 'folder' as const, folder: classes, split, trainFraction };
    return buildDataset(resolveExperiment({ data: { dataset: named, ...data }, train: { seed } }), {});
  };

  it('are split, thinned and set aside as asked', async () => {
    const counts = async (...asked: Parameters<typeof open>) => {
      const { train, validation, test } = await open(...asked);
      return [train, validation, test].map((part) => part?.classNames.length ?? 0);
    };
    expect(await counts({})).toEqual([10, 0, 10]);
    expect(await counts({ classRatio: 0.5 })).toEqual([5, 0, 5]);
    expect(await counts({ validationFraction: 0.3 })).toEqual([7, 3, 10]);
    expect(await counts({ validationFraction: 0.3, classRatio: 0.5 })).toEqual([3, 2, 5]);
    expect(await counts({}, 'random', 0.7)).toEqual([14, 0, 6]);
    const names = async (seed: number) => (await open({}, 'random', 0.5, seed)).train.classNames;
    expect(await names(1)).not.toEqual(await names(2));
    expect(await names(1)).toEqual(await names(1));
  });

  it('or a data set that is not named are a mistake of the experiment', async () => {
    await expect(buildDataset(resolveExperiment({}), {})).rejects.toThrow(/^data\.dataset: which data set\?/);
    const all = open({ trainOn: 'all', validationFraction: 0.5 });
    await expect(all).rejects.toThrow(OptionError);
    await expect(all).rejects.toThrow(/^data\.validationFraction: /);
  });
});
