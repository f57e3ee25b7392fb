import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildSchedule } from './build.js';
import type { ExperimentInput } from './experiment.js';
import { mergeExperiments } from './merge.js';
import { readRecipe, recipeNames } from './recipe.js';
import { resolveExperiment } from './resolve.js';

/** No recipe says where the data are. */
const resolved = (name: string) => {
  const { experiment } = readRecipe(name);
  const { dataset } = experiment.data!;
  const isDrawn = dataset && 'name' in dataset && dataset.name.startsWith('emoji');
  const place = isDrawn ? {} : { data: { dataset: { folder: '/data' } } };
  return resolveExperiment(mergeExperiments(experiment, place as ExperimentInput));
};

describe('the recipes that come with the program', () => {
  it.each(recipeNames())('%s holds settings that exist and fit together', (name) => {
    expect(() => buildSchedule(resolved(name))).not.toThrow();
  });

  // Table 4 of the paper, learned and fixed masks.
  it.each([
    ['cub', 67.7, 67.4],
    ['cars', 86.9, 87.2],
    ['inshop', 90.5, 89.8],
    ['sop', 79.8, 79.5],
    ['vid', 93.9, 94.0],
  ] as const)('%s says what was published: R@1 of learned and fixed masks', (name, learned, fixed) => {
    const names = [name, `${name}-fixed`];
    expect(names.map((recipe) => 100 * (readRecipe(recipe).published?.metrics['R@1'] ?? 0))).toEqual([
      expect.closeTo(learned, 0),
      expect.closeTo(fixed, 0),
    ]);
    const [whole, other] = names.map(resolved);
    expect([whole, other]).toMatchObject([
      { data: { dataset: { name } }, model: { masks: { kind: 'learned' } } },
      { data: { dataset: { name } }, model: { masks: { kind: 'fixed' } } },
    ]);
    expect(mergeExperiments(whole!, { model: { masks: { kind: 'fixed' } } } as typeof whole & {})).toEqual(
      other,
    );
  });
});

describe('readRecipe', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  const write = (name: string, contents: unknown) => {
    const file = join(folder, name);
    writeFileSync(file, typeof contents === 'string' ? contents : JSON.stringify(contents));
    return file;
  };

  it('adds to what it extends, which may be a file beside it or a known one', () => {
    write('base.json', {
      loss: { name: 'margin', beta: 1.1 },
      optimize: { learningRate: 0.5 },
      train: { epochs: 3 },
      published: { source: 'x', 'R@1': 0.5 },
    });
    const own = write('own.json', {
      $schema: './experiment.schema.json',
      about: 'mine',
      extends: 'base.json',
      loss: { nu: 0.1 },
      optimize: { learningRate: 1 },
    });
    expect(readRecipe(own)).toEqual({
      experiment: {
        loss: { name: 'margin', beta: 1.1, nu: 0.1 },
        optimize: { learningRate: 1 },
        train: { epochs: 3 },
      },
      published: null,
    });
    const other = write('other.json', { extends: 'base.json', loss: { name: 'triplet' } });
    expect(readRecipe(other).experiment.loss).toEqual({ name: 'triplet' });
    const demo = write('longer.json', { extends: 'demo', train: { epochs: 30 } });
    const { experiment } = readRecipe('demo');
    expect(readRecipe(demo).experiment).toEqual({
      ...experiment,
      train: { ...experiment.train, epochs: 30 },
    });
  });

  it("may be a run's config.json, of any format", () => {
    const now = write('now.json', { format: 3, train: { epochs: 7 } });
    expect(readRecipe(now).experiment).toEqual({ train: { epochs: 7 } });
    const before = write('before.json', { dataset: 'emoji', 'num-learners': 2, 'mask-relu': 'no' });
    expect(readRecipe(before).experiment).toEqual({
      data: { dataset: { name: 'emoji' } },
      model: { masks: { relu: false } },
      divide: { numLearners: 2 },
    });
    const later = write('later.json', { format: 99, train: { epochs: 7 } });
    expect(() => readRecipe(later)).toThrow(/later\.json has the format 99, of a newer version/);
  });

  it('takes a byte order mark off, and names other encodings', () => {
    const contents = { optimize: { learningRate: 0.5 } };
    expect(readRecipe(write('mark.json', `\uFEFF${JSON.stringify(contents)}`)).experiment).toEqual(contents);
    const latin = join(folder, 'latin.json');
    writeFileSync(latin, Buffer.from('{"train": {},\n"about": "caf\xe9"}', 'latin1'));
    expect(() => readRecipe(latin)).toThrow(/latin\.json, line 2: expected UTF-8, got the byte 0xe9/);
  });

  it('says what is wrong', () => {
    expect(() => readRecipe('no-such')).toThrow(/the recipe no-such cannot be read.*there are .*demo/s);
    expect(() => readRecipe('cuub')).toThrow(/did you mean cub\?/);
    expect(() => readRecipe(write('text.json', '{"lr": '))).toThrow('text.json cannot be read');
    expect(() => readRecipe(write('list.json', [1]))).toThrow('is no object');
    expect(() => readRecipe(write('odd.json', { extends: 3 }))).toThrow('"extends" must be the name');
    write('a.json', { extends: 'b.json' });
    write('b.json', { extends: 'a.json' });
    expect(() => readRecipe(join(folder, 'a.json'))).toThrow('extends itself');
  });
});
