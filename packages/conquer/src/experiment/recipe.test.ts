import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scheduleOf } from './assemble.js';
import { resolveSettings } from './options.js';
import { readRecipe, recipeNames } from './recipe.js';

describe('the recipes that come with the program', () => {
  it.each(recipeNames())('%s holds settings that exist and fit together', (name) => {
    const settings = resolveSettings(readRecipe(name).settings, {});
    expect(() => scheduleOf(settings)).not.toThrow();
  });

  // Table 4 of the paper, learned and fixed masks.
  it.each([
    ['cub', 67.7, 67.4],
    ['cars', 86.9, 87.2],
    ['inshop', 90.5, 89.8],
    ['sop', 79.8, 79.5],
    ['vid', 93.9, 94.0],
  ] as const)('%s says what was published: R@1 of learned and fixed masks', (name, learned, fixed) => {
    const recipes = [readRecipe(name), readRecipe(`${name}-fixed`)];
    expect(recipes.map(({ published }) => 100 * (published?.metrics['R@1'] ?? 0))).toEqual([
      expect.closeTo(learned, 0),
      expect.closeTo(fixed, 0),
    ]);
    const settings = recipes.map((recipe) => resolveSettings(recipe.settings, {}));
    expect(settings.map(({ dataset, masks }) => [dataset, masks])).toEqual([
      [name, 'learned'],
      [name, 'fixed'],
    ]);
    expect({ ...settings[0], masks: 'fixed' }).toEqual(settings[1]);
  });
});

describe('readRecipe', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'conquer-recipe-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = (name: string, contents: unknown) => {
    const file = join(folder, name);
    writeFileSync(file, typeof contents === 'string' ? contents : JSON.stringify(contents));
    return file;
  };

  it('adds to what it extends, which may be a file beside it or a known one', () => {
    write('base.json', { lr: 0.5, epochs: 3, published: { source: 'x', 'R@1': 0.5 } });
    const own = write('own.json', { about: 'mine', extends: 'base.json', lr: 1 });
    expect(readRecipe(own)).toEqual({ settings: { lr: 1, epochs: 3 }, published: null });
    const demo = write('longer.json', { extends: 'demo', epochs: 30 });
    expect(readRecipe(demo).settings).toEqual({ ...readRecipe('demo').settings, epochs: 30 });
  });

  it('takes a byte order mark off, and names other encodings', () => {
    expect(readRecipe(write('mark.json', '\uFEFF{"lr": 0.5}')).settings).toEqual({ lr: 0.5 });
    const latin = join(folder, 'latin.json');
    writeFileSync(latin, Buffer.from('{"lr": 0.5,\n"about": "caf\xe9"}', 'latin1'));
    expect(() => readRecipe(latin)).toThrow(/latin\.json, line 2: expected UTF-8, got the byte 0xe9/);
  });

  it('says what is wrong', () => {
    expect(() => readRecipe('no-such')).toThrow(/the recipe no-such cannot be read.*there are .*demo/s);
    expect(() => readRecipe(write('text.json', '{"lr": '))).toThrow('text.json cannot be read');
    expect(() => readRecipe(write('list.json', [1]))).toThrow('is no object');
    expect(() => readRecipe(write('odd.json', { extends: 3 }))).toThrow('"extends" must be the name');
    write('a.json', { extends: 'b.json' });
    write('b.json', { extends: 'a.json' });
    expect(() => readRecipe(join(folder, 'a.json'))).toThrow('extends itself');
  });
});
