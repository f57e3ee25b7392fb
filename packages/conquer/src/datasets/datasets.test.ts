import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type DataOptions, openData } from './data.js';
import { datasets } from './datasets.js';
import { type DatasetName, openDataset } from './open.js';

let root: string;
const shards = fileURLToPath(new URL('../testing/shards-as-written', import.meta.url));

beforeAll(() => {
  root = temporaryFolder();
  const lines: string[] = [];
  for (let c = 0; c < 8; c++) {
    for (const image of ['1.jpg', '2.jpg']) {
      const path = join(`class-${c}`, image);
      mkdirSync(join(root, 'images', `class-${c}`), { recursive: true });
      writeFileSync(join(root, 'images', path), path);
      lines.push(`${path},class-${c}`);
    }
  }
  writeFileSync(join(root, 'images', 'list.csv'), lines.join('\n'));
  mkdirSync(join(root, 'pairs'));
  const ofPairs = ['a,b,same', 'a,c,different', 'd,e,same', 'd,f,different'].map((line) =>
    line.replace(/(.),(.)/, '$1.jpg,$2.jpg'),
  );
  for (const name of 'abcdef') writeFileSync(join(root, 'pairs', `${name}.jpg`), name);
  writeFileSync(join(root, 'pairs/pairs.csv'), ofPairs.join('\n'));
});

const options = (name: DatasetName): Record<string, unknown> => {
  if (name.startsWith('emoji')) return {};
  if (name === 'pairs') return { file: join(root, 'pairs/pairs.csv') };
  if (name === 'webdataset' || name === 'parquet') return { folder: shards };
  return name === 'csv' ? { file: join(root, 'images') } : { folder: join(root, 'images') };
};

describe('every data set of the list', () => {
  it.each(datasets.map(({ name }) => name))(
    '%s: its defaults will do, other options do not',
    async (name) => {
      if (name === 'webdataset') vi.stubEnv('CONQUER_CACHE', join(root, 'cache'));
      const open = (more: object) =>
        openDataset(name as 'cub', { ...options(name), ...more } as { folder: string });
      // The published ones are not there: what is missing is said, and it is not an option.
      const opened = await open({}).catch((error: unknown) => error);
      if (name === 'folder' || name === 'csv')
        expect(opened).toMatchObject({ train: { classNames: ['class-0', 'class-1', 'class-2', 'class-3'] } });
      else if (name === 'webdataset' || name === 'parquet')
        expect(opened).toMatchObject({
          train: { classNames: name === 'parquet' ? ['ash', 'beech'] : ['0', '1'] },
        });
      else if (name === 'pairs')
        expect(opened).toMatchObject({ train: { pairs: { same: Uint8Array.of(1, 0) } } });
      else if (!name.startsWith('emoji'))
        expect((opened as Error).message).toMatch(`${name}: expected the f`);
      await expect(open({ colour: 'red' })).rejects.toThrow('colour: unknown option');
    },
  );

  it.each(datasets.map(({ name }) => name))('%s: a wrong value is named with its path', async (name) => {
    const given: Record<string, [value: unknown, problem: string]> = {
      folder: [3, 'folder: expected text, got 3'],
      file: [3, 'file: expected text, got 3'],
      image: [3, 'image: expected text or null, got 3'],
      label: ['', 'label: expected text or null, got ""'],
      split: ['', 'split: expected text, got ""'],
      trainFraction: [1, 'trainFraction: expected a number of at least 0.01 and at most 0.99, got 1'],
      allowPartial: ['yes', 'allowPartial: expected true or false, got "yes"'],
    };
    const { shape } = datasets.find((known) => known.name === name)!.options;
    for (const option of Object.keys(shape)) {
      const [value, problem] = given[option]!;
      const dataset = { name, ...options(name), [option]: value } as DataOptions['dataset'];
      await expect(openData({ dataset }, { seed: 1 })).rejects.toThrow(`data.dataset.${problem}`);
    }
  });
});

describe('the data of an experiment', () => {
  const open = (data: Partial<DataOptions>, seed = 1) =>
    openData({ dataset: { name: 'folder', folder: join(root, 'images') }, ...data }, { seed });

  it('all classes train, where that is asked for', async () => {
    const { train, test } = await open({ trainOn: 'all' });
    expect([train.classNames.length, test.classNames.length]).toEqual([8, 0]);
    const named = await openDataset('csv', { file: join(root, 'images'), everyClass: true });
    expect(named.train.paths).toHaveLength(16);
  });

  it('what cannot be is said by the path of its option', async () => {
    await expect(open({ classRatio: 0.1 })).rejects.toThrow(
      'data.classRatio: 0.1 leaves 0 of 4 train classes',
    );
    await expect(open({ classRatio: 2 })).rejects.toThrow(
      'data.classRatio: expected a number of at least 0.001',
    );
    await expect(open({ validationFraction: 0.1 })).rejects.toThrow(
      'data.validationFraction: 0.1 would validate',
    );
    await expect(open({ validationFraction: 0.5, trainOn: 'all' })).rejects.toThrow(
      "data.validationFraction: 0.5 of the classes would be set aside, and data.trainOn 'all'",
    );
    const dataset = { name: 'sop', folder: root } as const;
    await expect(open({ dataset: { ...dataset, split: 'half' } as typeof dataset })).rejects.toThrow(
      'data.dataset.split: unknown option',
    );
  });
});
